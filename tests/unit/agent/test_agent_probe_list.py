"""Probe lists that an agent refuses whole, with the field at fault; numbers have their bounds."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput
from shared.protocol.probes import HTTPGetAction, parse_probe_list

GOOD: dict[str, Any] = {"name": "idle", "containerName": "game", "exec": {"command": ["true"]}}
HTTP: dict[str, Any] = {"name": "web", "containerName": "game", "httpGet": {"port": 80}}


def http(**fields: Any) -> dict[str, Any]:
    return HTTP | {"httpGet": {"port": 80, **fields}}


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ("idle", "probes[0]: must be an object"),
        ({**GOOD, "name": 7}, "probes[0].name: must be a string"),
        ({**GOOD, "name": "x" * 64}, "probes[0].name: must have at most 63 characters"),
        ({**GOOD, **HTTP}, "probes[0]: must have exactly one of exec, httpGet, tcpSocket, grpc"),
        ({**GOOD, "periodSeconds": 0}, "probes[0].periodSeconds: must be between 1 and 86400"),
        (
            {**GOOD, "periodSeconds": 10**400},
            "probes[0].periodSeconds: must be between 1 and 86400",
        ),
        ({**GOOD, "periodSeconds": 1.5}, "probes[0].periodSeconds: must be a whole number"),
        ({**GOOD, "timeoutSeconds": True}, "probes[0].timeoutSeconds: must be a number"),
        (
            {**GOOD, "timeoutSeconds": float("nan")},
            "probes[0].timeoutSeconds: must be between 1 and 86400",
        ),
        (
            {**GOOD, "initialDelaySeconds": -1},
            "probes[0].initialDelaySeconds: must be between 0 and 86400",
        ),
        (
            {**GOOD, "failureThreshold": 1001},
            "probes[0].failureThreshold: must be between 1 and 1000",
        ),
        ({**GOOD, "exec": {"command": []}}, "probes[0].exec.command: must name a program"),
        (
            {**GOOD, "exec": {"command": ["a\0b"]}},
            "probes[0].exec.command: must not contain NUL characters",
        ),
        (http(port=0), "probes[0].httpGet.port: must be between 1 and 65535"),
        (http(port="web"), "probes[0].httpGet.port: must be a number"),
        (http(scheme="FTP"), "probes[0].httpGet.scheme: must be HTTP or HTTPS"),
        (http(path="/" * 2049), "probes[0].httpGet.path: must have at most 2048 characters"),
        (http(httpHeaders=[{}]), "probes[0].httpGet.httpHeaders[0].name: must be a string"),
        (
            http(httpHeaders=[{}] * 65),
            "probes[0].httpGet.httpHeaders: must be a list of at most 64",
        ),
    ],
)
def test_a_malformed_probe_refuses_the_list_and_names_its_field(probe: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_probe_list([probe], "probes")
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        (None, "probes: must be a list of at most 64 objects"),
        ([GOOD] * 65, "probes: must be a list of at most 64 objects"),
        ([GOOD, GOOD], "probes[1].name: 'idle' is there twice"),
    ],
    ids=["no list", "too many", "a name twice"],
)
def test_a_malformed_list_is_refused(probes: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_probe_list(probes, "probes")
    assert caught.value.message == message


def test_an_https_probe_is_read() -> None:
    (probe,) = parse_probe_list([http(scheme="HTTPS", path="/ready")], "probes")
    assert probe.http_get == HTTPGetAction(80, "/ready", scheme="HTTPS")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*GOOD, *HTTP, "port", "command", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_json_comes_it_is_read_or_refused(value: Any) -> None:
    decoded = json.loads(json.dumps(value))
    with suppress(InvalidInput):
        parse_probe_list(decoded, "probes")
