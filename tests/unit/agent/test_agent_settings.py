"""The agent's environment: what is read, what is refused with which line, what is none of ours."""

from __future__ import annotations

import pytest

from agent.address import BaseUrl
from agent.settings import Settings, read_settings
from shared.errors import InvalidInput

REQUIRED = {
    "GAMEKEEPER_REPORT_URLS": "https://reports.games.svc:8443, https://10.0.0.1:8443/",
    "GAMEKEEPER_TOKEN_FILE": "/var/run/gamekeeper/token",
    "GAMEKEEPER_CA_FILE": "/var/run/gamekeeper/ca.crt",
    "GAMEKEEPER_POD_UID": "uid-1",
}
URLS = (
    BaseUrl(
        "https://reports.games.svc:8443",
        True,
        "reports.games.svc",
        8443,
        "reports.games.svc:8443",
        "",
    ),
    BaseUrl("https://10.0.0.1:8443/", True, "10.0.0.1", 8443, "10.0.0.1:8443", ""),
)
MINIMAL = Settings(
    report_urls=URLS,
    token_file="/var/run/gamekeeper/token",
    ca_file="/var/run/gamekeeper/ca.crt",
    pod_uid="uid-1",
)


def test_the_required_variables_suffice() -> None:
    assert read_settings(REQUIRED) == MINIMAL


def test_every_variable_is_read() -> None:
    environment = {
        **REQUIRED,
        "GAMEKEEPER_POD_NAME": "minecraft-0",
        "GAMEKEEPER_POD_NAMESPACE": "games",
        "GAMEKEEPER_POD_IP": "fd00::7",
        "GAMEKEEPER_STATUS_PORT": "0",
        "GAMEKEEPER_MAX_CONCURRENT_PROBES": "64",
        "GAMEKEEPER_LOG_LEVEL": "debug",
        "PATH": "/usr/bin",
    }
    assert read_settings(environment) == Settings(
        report_urls=URLS,
        token_file="/var/run/gamekeeper/token",
        ca_file="/var/run/gamekeeper/ca.crt",
        pod_uid="uid-1",
        pod_name="minecraft-0",
        pod_namespace="games",
        pod_ip="fd00::7",
        status_port=0,
        max_concurrent_probes=64,
        log_level="DEBUG",
    )


def test_variables_of_services_with_our_name_and_the_container_marker_are_ignored() -> None:
    links = {
        "GAMEKEEPER_REPORTS_SERVICE_HOST": "10.0.0.1",
        "GAMEKEEPER_REPORTS_SERVICE_PORT": "443",
        "GAMEKEEPER_REPORTS_SERVICE_PORT_HTTPS": "443",
        "GAMEKEEPER_REPORTS_PORT": "tcp://10.0.0.1:443",
        "GAMEKEEPER_REPORTS_PORT_443_TCP": "tcp://10.0.0.1:443",
        "GAMEKEEPER_REPORTS_PORT_443_TCP_PROTO": "tcp",
        "GAMEKEEPER_REPORTS_PORT_443_TCP_PORT": "443",
        "GAMEKEEPER_REPORTS_PORT_443_TCP_ADDR": "10.0.0.1",
        # A Service named gamekeeper-status: the name is a setting's, the value never is.
        "GAMEKEEPER_STATUS_PORT": "tcp://10.0.0.2:80",
        "GAMEKEEPER_CONTAINER": "gamekeeper-agent",
    }
    assert read_settings({**REQUIRED, **links}) == MINIMAL


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"GAMEKEEPER_REPORT_URLS": None}, "GAMEKEEPER_REPORT_URLS: is required"),
        ({"GAMEKEEPER_TOKEN_FILE": None}, "GAMEKEEPER_TOKEN_FILE: is required"),
        ({"GAMEKEEPER_TOKEN_FILE": " "}, "GAMEKEEPER_TOKEN_FILE: must not be empty"),
        ({"GAMEKEEPER_POD_UID": None}, "GAMEKEEPER_POD_UID: is required"),
        (
            {"GAMEKEEPER_CA_FILE": None},
            "GAMEKEEPER_CA_FILE: is required with an https report URL",
        ),
        (
            {"GAMEKEEPER_REPORT_URLS": " , "},
            "GAMEKEEPER_REPORT_URLS: must name at least one base URL, for example https://HOST:PORT",
        ),
        (
            {"GAMEKEEPER_REPORT_URLS": "https://a,ftp://b"},
            "GAMEKEEPER_REPORT_URLS: 'ftp://b' must look like https://HOST:PORT",
        ),
        (
            {"GAMEKEEPER_REPORT_URLS": "http://10.0.0.1:80"},
            "GAMEKEEPER_REPORT_URLS: 'http://10.0.0.1:80' would show the token to the network:"
            " use https",
        ),
        (
            {"GAMEKEEPER_POD_IP": "minecraft-0"},
            "GAMEKEEPER_POD_IP: must be an IP address, not 'minecraft-0'",
        ),
        (
            {"GAMEKEEPER_STATUS_PORT": "65536"},
            "GAMEKEEPER_STATUS_PORT: must be a whole number from 0 to 65535, not '65536'",
        ),
        (
            {"GAMEKEEPER_STATUS_PORT": "-1"},
            "GAMEKEEPER_STATUS_PORT: must be a whole number from 0 to 65535, not '-1'",
        ),
        (
            {"GAMEKEEPER_MAX_CONCURRENT_PROBES": "0"},
            "GAMEKEEPER_MAX_CONCURRENT_PROBES: must be a whole number from 1 to 64, not '0'",
        ),
        (
            {"GAMEKEEPER_LOG_LEVEL": "loud"},
            "GAMEKEEPER_LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR, not 'loud'",
        ),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable(
    change: dict[str, str | None], line: str
) -> None:
    environment = {**REQUIRED, **change}
    with pytest.raises(InvalidInput) as caught:
        read_settings({name: value for name, value in environment.items() if value is not None})
    assert caught.value.message == line


def test_an_unknown_variable_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_settings({**REQUIRED, "GAMEKEEPER_STATUSPORT": "8089"})
    assert caught.value.message == (
        "GAMEKEEPER_STATUSPORT: is no setting of the agent; there are GAMEKEEPER_REPORT_URLS,"
        " GAMEKEEPER_TOKEN_FILE, GAMEKEEPER_CA_FILE, GAMEKEEPER_POD_UID, GAMEKEEPER_POD_NAME,"
        " GAMEKEEPER_POD_NAMESPACE, GAMEKEEPER_POD_IP, GAMEKEEPER_STATUS_PORT,"
        " GAMEKEEPER_MAX_CONCURRENT_PROBES, GAMEKEEPER_LOG_LEVEL"
    )
