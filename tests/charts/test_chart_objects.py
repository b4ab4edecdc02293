"""What the chart makes: names of settings, CRDs, who is selected, rights that have names."""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from aggregator.settings import PREFIX, Settings, read_settings
from shared.api import names
from shared.crds import custom_resource_definitions
from tests.support.helm import CHART, aggregator_container, environment, of_kind, render

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

MODES = {
    "self": {},
    "certManager": {"tls.mode": "certManager"},
    "secret": {"tls.mode": "secret", "tls.secretName": "mine"},
    "one namespace": {"watchNamespace": "games"},
    "a scaler with TLS": {"scaler.tlsSecretName": "keda", "scaler.clientCertificates": True},
    "no scaler": {"scaler.enabled": False},
}


@pytest.mark.parametrize("values", MODES.values(), ids=MODES)
def test_the_aggregator_takes_the_environment_of_the_deployment(values):
    settings = read_settings(environment(render(values)))
    assert (settings.has_certificate, settings.report_service) == (True, "gamekeeper-reports")
    assert settings.namespace == values.get("watchNamespace", "")


# What a pod in a cluster needs no word about: its own account, ports and addresses of its own.
LEFT_ALONE = {
    "keda_address",
    "kubeconfig",
    "report_address",
    "report_port",
    "report_urls",
    "health_address",
    "health_port",
    "status_port",
    "status_authentication",
}


def test_every_setting_is_in_the_chart_and_every_variable_is_a_setting():
    rendered = set().union(*(environment(render(values)) for values in MODES.values()))
    fields = {PREFIX + name.upper() for name in Settings.model_fields.keys() - LEFT_ALONE}
    assert rendered == fields


def test_the_defaults_of_the_chart_are_those_of_the_program():
    given = read_settings(environment(render()))
    chosen = {
        "agent_image",
        "keda_port",
        "pod_name",
        "pod_namespace",
        "report_service",
        "report_tls_secret",
        "status_address",
        "status_service",
    }
    differing = {
        name
        for name, field in Settings.model_fields.items()
        if getattr(given, name) != field.default
    }
    assert differing == chosen


def test_the_ports_of_the_deployment_are_those_of_the_program():
    fields = Settings.model_fields
    ports = aggregator_container(render({"scaler.enabled": False}))["ports"]
    assert {each["name"]: each["containerPort"] for each in ports} == {
        "reports": fields["report_port"].default,
        "status": fields["status_port"].default,
        "health": fields["health_port"].default,
    }


def test_the_definitions_are_those_of_the_models():
    shipped = [yaml.safe_load(path.read_text()) for path in (CHART / "crds").iterdir()]
    generated = custom_resource_definitions()
    by_name = {each["metadata"]["name"]: each for each in generated}
    assert {each["metadata"]["name"]: each for each in shipped} == by_name


def test_helm_installs_the_definitions_and_never_owns_them():
    # What is a template would be deleted with the release, and every game server with it.
    assert of_kind(render(), "CustomResourceDefinition") == {}
    assert of_kind(render({}, "--include-crds"), "CustomResourceDefinition").keys() == {
        each["metadata"]["name"] for each in custom_resource_definitions()
    }


def test_no_certificate_is_part_of_a_release():
    # An upgrade would make it anew, an uninstall would take it away from agents that still report.
    assert of_kind(render(), "Secret") == {}


def test_agents_and_people_reach_the_leader_and_prometheus_everybody():
    services = of_kind(render(), "Service")
    selectors = {name: each["spec"]["selector"] for name, each in services.items()}
    led = {name for name, selector in selectors.items() if names.LEADER_LABEL in selector}
    assert led == {"gamekeeper-reports", "gamekeeper-status", "kruise-game-external-scaler"}
    assert services.keys() - led == {"gamekeeper-metrics"}


@pytest.mark.parametrize("values", MODES.values(), ids=MODES)
def test_selectors_select_the_aggregators_pods(values):
    objects = render(values)
    (deployment,) = of_kind(objects, "Deployment").values()
    labels = deployment["spec"]["template"]["metadata"]["labels"] | {names.LEADER_LABEL: "true"}
    spec = deployment["spec"]
    selectors = [each["spec"]["selector"] for each in of_kind(objects, "Service").values()]
    selectors.append(spec["selector"]["matchLabels"])
    budgets = of_kind(objects, "PodDisruptionBudget").values()
    selectors += [each["spec"]["selector"]["matchLabels"] for each in budgets]
    policies = of_kind(objects, "NetworkPolicy").values()
    selectors += [each["spec"]["podSelector"]["matchLabels"] for each in policies]
    assert len(selectors) == (7 if values.get("scaler.enabled", True) else 6)
    assert all(selector.items() <= labels.items() for selector in selectors)


def test_the_test_pod_is_none_of_them():
    (pod,) = of_kind(render(), "Pod").values()
    (deployment,) = of_kind(render(), "Deployment").values()
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= pod["metadata"]["labels"].items()


def rules(objects):
    for kind in ("Role", "ClusterRole"):
        for role in of_kind(objects, kind).values():
            yield from role["rules"]


@pytest.mark.parametrize("values", MODES.values(), ids=MODES)
def test_no_rule_has_a_wildcard(values):
    for rule in rules(render(values)):
        for field in ("apiGroups", "resources", "verbs"):
            assert not [each for each in rule[field] if "*" in each], rule


def test_secrets_are_read_by_name_only_and_only_where_they_are_made():
    readable = [
        rule
        for rule in rules(render())
        if "secrets" in rule["resources"] and rule["verbs"] != ["create"]
    ]
    assert [(rule["resourceNames"], rule["verbs"]) for rule in readable] == [
        (["gamekeeper-reports-tls"], ["get", "patch"])
    ]
    for mode in ("certManager", "secret"):
        assert not [rule for rule in rules(render(MODES[mode])) if "secrets" in rule["resources"]]


def test_in_one_namespace_only_questions_and_nodes_are_asked_of_the_cluster():
    objects = render(MODES["one namespace"])
    (cluster,) = of_kind(objects, "ClusterRole").values()
    assert [(rule["resources"], rule["verbs"]) for rule in cluster["rules"]] == [
        (["tokenreviews"], ["create"]),
        (["subjectaccessreviews"], ["create"]),
        (["nodes", "persistentvolumes"], ["list", "watch"]),
    ]
    places = {
        name: each["metadata"]["namespace"] for name, each in of_kind(objects, "Role").items()
    }
    assert places == {"gamekeeper-games": "games", "gamekeeper-self": "gamekeeper-system"}
    without = render(MODES["one namespace"] | {"rbac.readNodes": False})
    (cluster,) = of_kind(without, "ClusterRole").values()
    assert len(cluster["rules"]) == 2


def test_the_pod_is_fit_for_the_restricted_level():
    (deployment,) = of_kind(render(), "Deployment").values()
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_one_replica_has_no_budget_that_would_stop_a_drain():
    assert of_kind(render({"aggregator.replicas": 1}), "PodDisruptionBudget") == {}


def test_the_name_of_a_release_stays_within_a_label():
    long = "r" * 53
    objects = render({"fullnameOverride": long})
    assert max(len(each["metadata"]["name"]) for each in objects) <= 63


METRIC = re.compile(r"\b(?:gamekeeper|okg|process)_[a-zA-Z_]+")


def known_metrics():
    sources = [Path(path) for path in ("aggregator/metrics.py", "aggregator/fleet_metrics.py")]
    root = CHART.parents[1]
    text = "".join((root / source).read_text() for source in sources)
    found = set(re.findall(r'"((?:gamekeeper|okg)_[a-zA-Z_]+)"', text))
    suffixes = ("", "_total", "_bucket")
    return {name + suffix for name, suffix in itertools.product(found, suffixes)}


def test_alerts_and_panels_ask_for_metrics_that_exist():
    objects = render({"metrics.prometheusRule.enabled": True, "metrics.dashboard.enabled": True})
    (rule,) = of_kind(objects, "PrometheusRule").values()
    expressions = [each["expr"] for each in rule["spec"]["groups"][0]["rules"]]
    (dashboard,) = of_kind(objects, "ConfigMap").values()
    board = json.loads(dashboard["data"]["gamekeeper.json"])
    expressions += [panel["targets"][0]["expr"] for panel in board["panels"]]
    asked = {name for text in expressions for name in METRIC.findall(text)}
    assert asked - known_metrics() == {"process_resident_memory_bytes"}
    assert len(asked) >= 9
