"""Settings from the environment."""

import pytest

from aggregator.settings import Settings, read_settings
from shared.errors import InvalidInput

LEAST = {
    "GAMEKEEPER_AGENT_IMAGE": "gamekeeper-agent:1",
    "GAMEKEEPER_REPORT_URLS": "https://reports.gamekeeper.svc:8443",
    "GAMEKEEPER_REPORT_TLS_CERTIFICATE_FILE": "/tls/tls.crt",
    "GAMEKEEPER_REPORT_TLS_KEY_FILE": "/tls/tls.key",
}
POD = {"GAMEKEEPER_POD_NAME": "a", "GAMEKEEPER_POD_NAMESPACE": "system"}
IN_A_CLUSTER = POD | {
    "GAMEKEEPER_AGENT_IMAGE": "gamekeeper-agent:1",
    "GAMEKEEPER_REPORT_SERVICE": "reports",
    "GAMEKEEPER_REPORT_TLS_SECRET": "reports-tls",
}


def test_a_secret_and_a_service_are_enough_in_a_cluster() -> None:
    settings = read_settings(IN_A_CLUSTER | {"GAMEKEEPER_STATUS_ADDRESS": "0.0.0.0"})
    assert (settings.has_certificate, settings.report_urls) == (True, ())


def test_what_must_be_set_is_enough() -> None:
    assert read_settings(LEAST | {"HOME": "/root", "GAMEKEEPER_WORKERS": ""}) == Settings(
        kubeconfig="",
        namespace="",
        report_address="0.0.0.0",
        report_port=8443,
        report_tls_certificate_file="/tls/tls.crt",
        report_tls_key_file="/tls/tls.key",
        report_ca_file="",
        report_urls=("https://reports.gamekeeper.svc:8443",),
        health_address="0.0.0.0",
        health_port=8080,
        agent_image="gamekeeper-agent:1",
        agent_image_pull_policy="IfNotPresent",
        heartbeat_seconds=10.0,
        pod_name="",
        pod_namespace="",
        lease_name="gamekeeper-aggregator",
        lease_seconds=15,
        workers=4,
        log_level="info",
    )


def test_texts_become_the_types_of_the_fields() -> None:
    settings = read_settings(
        LEAST
        | {
            "GAMEKEEPER_REPORT_URLS": " https://a:1, https://b:2,",
            "GAMEKEEPER_REPORT_PORT": "0",
            "GAMEKEEPER_HEARTBEAT_SECONDS": "2.5",
            "GAMEKEEPER_WORKERS": "8",
        }
    )
    assert (
        settings.report_urls,
        settings.report_port,
        settings.heartbeat_seconds,
        settings.workers,
    ) == (("https://a:1", "https://b:2"), 0, 2.5, 8)


@pytest.mark.parametrize(
    ("given", "namespace"),
    [
        pytest.param({}, "kube-system", id="whole cluster, no pod"),
        pytest.param({"NAMESPACE": "games"}, "games", id="one namespace"),
        pytest.param(
            {"NAMESPACE": "games", "POD_NAME": "a", "POD_NAMESPACE": "system"}, "system", id="pod"
        ),
    ],
)
def test_the_lease_lives_beside_the_pod_else_with_what_is_served(given, namespace: str) -> None:
    settings = read_settings(LEAST | {f"GAMEKEEPER_{name}": text for name, text in given.items()})
    assert settings.lease_namespace == namespace


def test_variables_that_kubernetes_makes_for_services_are_no_settings() -> None:
    links = {
        "GAMEKEEPER_SERVICE_HOST": "10.0.0.1",
        "GAMEKEEPER_SERVICE_PORT_HTTPS": "443",
        "GAMEKEEPER_PORT": "tcp://10.0.0.1:443",
        "GAMEKEEPER_REPORTS_PORT_443_TCP_ADDR": "10.0.0.1",
        "GAMEKEEPER_REPORT_PORT": "tcp://10.0.0.1:8443",
    }
    assert read_settings(LEAST | links) == read_settings(LEAST)


def test_without_tls_reports_are_taken_on_loopback_only() -> None:
    plain = {
        name: value for name, value in LEAST.items() if not name.startswith("GAMEKEEPER_REPORT_TLS")
    }
    on_loopback = plain | {"GAMEKEEPER_REPORT_ADDRESS": "127.0.0.1"}
    assert read_settings(on_loopback).report_address == "127.0.0.1"
    with pytest.raises(InvalidInput, match="unless report_address is a loopback"):
        read_settings(plain)


def test_the_status_api_asks_who_reads_unless_it_is_on_loopback() -> None:
    off = {"GAMEKEEPER_STATUS_AUTHENTICATION": "off"}
    assert read_settings(LEAST).status_authentication == "token"
    assert read_settings(LEAST | off).status_address == "127.0.0.1"
    with pytest.raises(InvalidInput, match="off only on a loopback address"):
        read_settings(LEAST | off | {"GAMEKEEPER_STATUS_ADDRESS": "0.0.0.0"})


def test_without_tls_the_status_api_is_on_loopback_only() -> None:
    plain = {
        name: value for name, value in LEAST.items() if not name.startswith("GAMEKEEPER_REPORT_TLS")
    }
    everywhere = {
        "GAMEKEEPER_REPORT_ADDRESS": "127.0.0.1",
        "GAMEKEEPER_STATUS_ADDRESS": "0.0.0.0",
    }
    with pytest.raises(InvalidInput, match="unless status_address is a loopback"):
        read_settings(plain | everywhere)


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        pytest.param(
            {"GAMEKEEPER_AGENT_IMAGE": ""},
            "GAMEKEEPER_AGENT_IMAGE",
            "must be set: image of",
            id="missing",
        ),
        pytest.param(
            {"GAMEKEEPER_WORKER": "4"},
            "GAMEKEEPER_WORKER",
            "no such setting; known are",
            id="misspelt",
        ),
        pytest.param({"GAMEKEEPER_WORKERS": "many"}, "GAMEKEEPER_WORKERS", "integer", id="text"),
        pytest.param({"GAMEKEEPER_WORKERS": "0"}, "GAMEKEEPER_WORKERS", "equal to 1", id="bound"),
        pytest.param(
            {"GAMEKEEPER_REPORT_PORT": "65536"}, "GAMEKEEPER_REPORT_PORT", "65535", id="port"
        ),
        pytest.param(
            {"GAMEKEEPER_HEARTBEAT_SECONDS": "nan"},
            "GAMEKEEPER_HEARTBEAT_SECONDS",
            "less than or equal to 300",
            id="not a number",
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_URLS": "reports:8443"},
            "GAMEKEEPER_REPORT_URLS",
            "'reports:8443' must begin with https://",
            id="no scheme",
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_URLS": " , "}, "GAMEKEEPER_REPORT_URLS", "at least 1", id="no URL"
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_URLS": ""}, "settings", "must be set", id="nowhere to report to"
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_SERVICE": "reports"} | POD,
            "settings",
            "one of report_urls and report_service",
            id="two places to report to",
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_SERVICE": "reports", "GAMEKEEPER_REPORT_URLS": ""},
            "settings",
            "looked for in pod_namespace",
            id="a Service of no namespace",
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_TLS_SECRET": "tls"} | POD,
            "settings",
            "exclude each other",
            id="two certificates",
        ),
        pytest.param(
            {"GAMEKEEPER_AGENT_CPU_REQUEST": "much"},
            "GAMEKEEPER_AGENT_CPU_REQUEST",
            "'much' is not a quantity",
            id="no quantity",
        ),
        pytest.param(
            {"GAMEKEEPER_AGENT_MEMORY_LIMIT": "0"},
            "GAMEKEEPER_AGENT_MEMORY_LIMIT",
            "must be more than 0",
            id="no memory",
        ),
        pytest.param(
            {"GAMEKEEPER_LOG_LEVEL": "loud"}, "GAMEKEEPER_LOG_LEVEL", "'debug'", id="level"
        ),
        pytest.param(
            {"GAMEKEEPER_REPORT_TLS_KEY_FILE": ""}, "settings", "go together", id="half of TLS"
        ),
        pytest.param(
            {"GAMEKEEPER_POD_NAME": "a"}, "settings", "go together", id="a pod without a namespace"
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(change, field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_settings(LEAST | change)
    assert refused.value.field == field
    assert message in refused.value.message
    assert "\n" not in refused.value.message


def test_every_setting_says_what_it_is() -> None:
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []
