"""What is in the images, and what is not."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.helm import aggregator_container, environment, render

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

VERSION = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
    "version"
]
NAMES = ["agent", "aggregator"]
# Packed, as a node pulls them; measured 17.8 and 48.2 MB.
MOST_BYTES = {"agent": 22e6, "aggregator": 60e6}


@pytest.fixture(params=NAMES)
def named(request):
    return request.param, request.getfixturevalue(f"{request.param}_image")


def test_a_kubelet_finds_what_was_imported_when_the_chart_names_it(agent_image, aggregator_image):
    # It looks for whole names: one without a registry is one of docker.io.
    objects = render()
    chosen = (
        environment(objects)["GAMEKEEPER_AGENT_IMAGE"],
        aggregator_container(objects)["image"],
    )
    imported = (agent_image.name, aggregator_image.name)
    assert imported == tuple(f"docker.io/{image}" for image in chosen)


def test_they_run_as_nobody_without_arguments_that_ps_would_show(named):
    name, image = named
    assert image.config["User"] == "65532:65532"
    assert image.config["Entrypoint"] == ["/usr/bin/python3", "-S", "-m", name]
    assert "Cmd" not in image.config


def test_they_say_what_they_are(named):
    name, image = named
    labels = image.config["Labels"]
    prefix = "org.opencontainers.image."
    assert (labels[f"{prefix}title"], labels[f"{prefix}version"]) == (f"gamekeeper-{name}", VERSION)
    assert labels[f"{prefix}licenses"] == "Apache-2.0"
    assert len(labels[f"{prefix}revision"]) == 40


def test_they_hold_no_shell_no_compiler_and_no_package_manager(named):
    _, image = named
    programs = {"sh", "bash", "dash", "busybox", "gcc", "cc", "ld", "apt", "dpkg", "pip", "pip3"}
    found = {path.name for path in image.root.rglob("*") if path.name in programs}
    assert found == set()


def test_only_python_can_be_run(named):
    _, image = named
    loader = {path.name for path in image.root.glob("lib64/*")}
    executable = {
        path.name
        for path in image.root.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.stat().st_mode & 0o111
        and ".so" not in path.name
        and path.read_bytes()[:4] == b"\x7fELF"
    }
    (program,) = executable - loader
    assert re.fullmatch(r"python3\.[0-9]+", program)


def test_nothing_runs_with_the_rights_of_its_owner(named):
    _, image = named
    privileged = [path for path in image.root.rglob("*") if path.lstat().st_mode & 0o6000]
    assert privileged == []


def test_every_module_is_compiled_beforehand(named):
    _, image = named
    modules = [each for each in image.root.rglob("*.py") if each.parent.name != "templates"]
    missing = [
        module
        for module in modules
        if not list((module.parent / "__pycache__").glob(f"{module.stem}.cpython-*.pyc"))
    ]
    assert len(modules) > 300
    assert missing == []


def test_each_holds_its_own_program_and_not_the_others(agent_image, aggregator_image):
    ours = {"agent", "aggregator", "cli", "localcluster", "shared", "tests"}

    def held(image):
        return {path.name for path in (image.root / "opt" / "gamekeeper").iterdir()} & ours

    assert held(agent_image) == {"agent", "shared"}
    assert held(aggregator_image) == {"aggregator", "shared"}
    assert not (agent_image.root / "opt/gamekeeper/shared/api").exists()


def test_they_are_small(named, capsys):
    name, image = named
    with capsys.disabled():
        packed, unpacked = image.packed_bytes / 1e6, image.unpacked_bytes / 1e6
        print(f"\nimage of the {name}: {packed:.1f} MB packed, {unpacked:.1f} MB unpacked")
    assert image.packed_bytes < MOST_BYTES[name]
