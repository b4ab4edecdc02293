"""`gamekeeper crds`: the definitions that an API server of some version takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.__main__ import main
from shared.crds import custom_resource_definitions

CHART = Path(__file__).parents[3] / "charts" / "gamekeeper" / "crds"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["crds", *arguments]) == 0
    return list(yaml.safe_load_all(capsys.readouterr().out))


@pytest.mark.parametrize("version", [(), ("1.34",), ("v1.36.2",), ("1.40",), ("2.0",)])
def test_a_present_api_server_gets_what_the_chart_has(version, capsys):
    chosen = [f"--kubernetes={each}" for each in version]
    chart = {file.name: yaml.safe_load(file.read_text()) for file in CHART.iterdir()}
    got = {f"{each['metadata']['name']}.yaml": each for each in printed(capsys, *chosen)}
    assert got == chart


@pytest.mark.parametrize("version", ["1.29", "1.33", "v1.33.4+k3s1", "v1.31.0-eks-a737599"])
def test_an_older_one_gets_what_its_estimate_lets_pass(version, capsys):
    assert printed(capsys, "--kubernetes", version) == custom_resource_definitions((1, 29))


def test_files_are_written_for_that_version_too(tmp_path):
    assert main(["crds", "--directory", str(tmp_path), "--kubernetes", "1.30"]) == 0
    written = [yaml.safe_load(file.read_text()) for file in sorted(tmp_path.iterdir())]
    expected = custom_resource_definitions((1, 30))
    assert written == sorted(expected, key=lambda each: each["metadata"]["name"])


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.28", "Gamekeeper needs Kubernetes 1.29, not 1.28"),
        ("newest", "'newest' is no version such as 1.33"),
        ("1", "'1' is no version such as 1.33"),
        ("", "'' is no version such as 1.33"),
        ("1.33x", "'1.33x' is no version such as 1.33"),
    ],
)
def test_what_is_no_version_is_told_with_its_option(version, told, capsys):
    assert main(["crds", "--kubernetes", version]) != 0
    assert capsys.readouterr().err == f"gamekeeper crds: --kubernetes: {told}\n"
