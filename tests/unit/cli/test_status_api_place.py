"""Where `gamekeeper explain` and `gamekeeper status` ask, and with what: options and kubeconfig."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.status_api import StatusOptions, find_status_api
from shared.errors import InvalidInput

URL = "http://127.0.0.1:8081"


def kubeconfig(tmp_path: Path) -> Path:
    file = tmp_path / "config"
    extension = {"name": "gamekeeper.dev/status", "extension": {"url": "http://127.0.0.1:9"}}
    body = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "namespace": "games"}}],
        "clusters": [{"name": "a", "cluster": {"extensions": [extension]}}],
    }
    file.write_text(yaml.safe_dump(body))
    return file


def test_the_server_is_named_or_noted_in_the_kubeconfig(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path)
    noted = find_status_api(StatusOptions(kubeconfig=file), {})
    assert (noted.url, noted.namespace, noted.token) == ("http://127.0.0.1:9", "games", "")
    environment = {"KUBECONFIG": str(file), "GAMEKEEPER_STATUS_URL": "https://status:1/"}
    assert find_status_api(StatusOptions(), environment).url == "https://status:1"
    named = find_status_api(StatusOptions(server=URL, namespace="other"), environment)
    assert (named.url, named.namespace) == (URL, "other")


def test_a_context_that_is_named_is_the_one_that_is_asked(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path)
    assert find_status_api(StatusOptions(kubeconfig=file, context="a"), {}).namespace == "games"
    with pytest.raises(InvalidInput, match="there is no context 'b' in the kubeconfig"):
        find_status_api(StatusOptions(kubeconfig=file, context="b"), {})


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    options = StatusOptions(server="https://status", token_file=token)
    assert find_status_api(options, {"HOME": str(tmp_path)}).token == "secret"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({}, "port-forward", id="nobody says where"),
        pytest.param({"server": "status:80"}, "https:// or http://", id="no scheme"),
        pytest.param({"server": "http://"}, "and a host", id="no host"),
        pytest.param(
            {"server": "https://x", "token_file": Path("/nowhere/token")},
            "cannot read /nowhere/token: No such file",
            id="no token file",
        ),
        pytest.param(
            {"server": "https://x", "ca_file": Path("/nowhere/ca")},
            "cannot read /nowhere/ca: No such file",
            id="no CA file",
        ),
        pytest.param(
            {"server": "https://x", "ca_file": Path(__file__)}, "no PEM file", id="no certificate"
        ),
    ],
)
def test_what_cannot_be_tried_says_what_would_be_right(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        find_status_api(StatusOptions(**options), {"HOME": str(tmp_path)})


def test_a_token_does_not_travel_in_clear(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    options = StatusOptions(server="http://far.example.com", token_file=token)
    with pytest.raises(InvalidInput, match="does not travel in clear"):
        find_status_api(options, {"HOME": str(tmp_path)})
    assert find_status_api(StatusOptions(server=URL, token_file=token), {}).token == "secret"
