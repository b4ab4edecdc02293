"""Every object of the chart is accepted by the API server, field by field."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from localcluster.apiserver.builtin import builtin_resources
from tests.support.apiserver import start_apiserver
from tests.support.helm import CHART, NAMESPACE, RELEASE, environment, helm, of_kind, render

pytestmark = [pytest.mark.component, pytest.mark.timeout(120)]

DATA = Path(__file__).parents[1] / "data" / "charts"
EVERYTHING = {
    "metrics.serviceMonitor.enabled": True,
    "metrics.serviceMonitor.labels": {"release": "prometheus"},
    "metrics.prometheusRule.enabled": True,
    "metrics.dashboard.enabled": True,
    "imagePullSecrets": [{"name": "registry"}],
    "aggregator.podAnnotations": {"team": "games"},
    "aggregator.podLabels": {"team": "games"},
    "aggregator.nodeSelector": {"kubernetes.io/os": "linux"},
    "aggregator.tolerations": [{"key": "infra", "operator": "Exists"}],
    "aggregator.affinity": {"nodeAffinity": {}},
    "aggregator.priorityClassName": "system-cluster-critical",
    "serviceAccount.annotations": {"team": "games"},
    "networkPolicy.statusFrom": [{"namespaceSelector": {}}],
    "networkPolicy.metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
    "networkPolicy.scalerFrom": [{"podSelector": {}}],
    "scaler.tlsSecretName": "keda",
    "scaler.clientCertificates": True,
    "services.reports.clusterIP": "10.96.0.9",
}
CASES = {
    "defaults": {},
    "everything at once": EVERYTHING,
    "cert-manager": {"tls.mode": "certManager", "tls.certManager.ipAddresses": ["10.96.0.9"]},
    "a Secret of one's own": {"tls.mode": "secret", "tls.secretName": "mine"},
    "one namespace": {"watchNamespace": "games"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    definitions = [*DATA.glob("*-crds.yaml"), *sorted((CHART / "crds").iterdir())]
    running = start_apiserver(tmp_path_factory.mktemp("apiserver"), definitions)
    for namespace in (NAMESPACE, "games"):
        running.kubectl("create", "namespace", namespace)
    yield running
    assert running.stop() == 0


def rendered(values):
    objects = render(values)
    (test,) = of_kind(objects, "Pod").values()
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    return objects


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_every_object_is_accepted_strictly(server, values):
    objects = rendered(values)
    text = yaml.safe_dump_all(objects)
    server.kubectl("apply", "--validate=strict", "-f", "-", input=text)
    # kubectl checks against the server's OpenAPI; the server itself says the last word.
    said = server.kubectl(
        "apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", input=text
    )
    assert len(said.stdout.splitlines()) == len(objects)
    server.kubectl("delete", "-f", "-", "--wait=false", input=text)


def test_a_field_that_does_not_exist_would_be_found(server):
    (deployment,) = of_kind(render(), "Deployment").values()
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    done = server.kubectl(
        "apply", "--validate=strict", "-f", "-", input=yaml.safe_dump(deployment), check=False
    )
    assert done.returncode == 1
    assert 'unknown field "spec.template.spec.containers[0].readinesProbe"' in done.stderr


def test_no_object_is_of_a_kind_that_nobody_knows():
    built_in = {each.kind for each in builtin_resources()}
    known = built_in | {"ServiceMonitor", "PrometheusRule", "Certificate", "Issuer"}
    objects = [each for values in CASES.values() for each in render(values)]
    assert {each["kind"] for each in objects} <= known


def installed(server, *arguments):
    done = helm(*arguments, "--kubeconfig", str(server.kubeconfig), "--namespace", NAMESPACE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_upgrade_and_an_uninstall_keep_the_certificate_the_definitions_and_the_servers(server):
    installed(server, "install", RELEASE, str(CHART), "--wait=hookOnly")
    table = server.kubectl("-n", NAMESPACE, "get", "deploy").stdout.splitlines()
    assert [line.split()[:4] for line in table] == [
        ["NAME", "READY", "UP-TO-DATE", "AVAILABLE"],
        ["gamekeeper", "0/2", "0", "0"],
    ]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "gamekeeper-reports-tls", "namespace": NAMESPACE},
        "data": {"tls.key": "c2VjcmV0"},
    }
    game = {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServer",
        "metadata": {"name": "minecraft-0", "namespace": "games"},
        "spec": {"opsState": "Allocated"},
    }
    server.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([secret, game]))

    def kept():
        found = [
            server.get("-n", NAMESPACE, "secret", "gamekeeper-reports-tls"),
            server.get("-n", "games", "gs", "minecraft-0"),
            *server.get("crd")["items"],
        ]
        return [(each["metadata"]["uid"], each.get("data"), each.get("spec")) for each in found]

    before = kept()
    definitions = ("--server-side", "--force-conflicts", "-f", str(CHART / "crds"))
    server.kubectl("apply", *definitions)
    upgrade = ("upgrade", RELEASE, str(CHART), "--wait=hookOnly")
    installed(server, *upgrade, "--set", "aggregator.logLevel=debug")
    env = server.get("-n", NAMESPACE, "deploy", RELEASE)["spec"]["template"]["spec"]["containers"]
    assert {"name": "GAMEKEEPER_LOG_LEVEL", "value": "debug"} in env[0]["env"]
    assert kept() == before
    installed(server, "uninstall", RELEASE, "--wait=hookOnly")
    assert kept() == before
    assert server.get("-n", NAMESPACE, "deploy")["items"] == []


def test_a_secret_that_is_missing_ends_the_aggregator_with_one_line(server):
    values = {"tls.mode": "secret", "tls.secretName": "mine"}
    objects = rendered(values)
    service = of_kind(objects, "Service")["gamekeeper-reports"]
    server.kubectl("apply", "-f", "-", input=yaml.safe_dump(service))
    settings = environment(objects) | {
        "GAMEKEEPER_KUBECONFIG": str(server.kubeconfig),
        # The volume is optional: without the Secret its folder is empty.
        "GAMEKEEPER_HEALTH_ADDRESS": "127.0.0.1",
        "GAMEKEEPER_HEALTH_PORT": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "aggregator"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    # Lines of the log may come before it, where the API server was slow.
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "gamekeeper aggregator: GAMEKEEPER_REPORT_TLS_CERTIFICATE_FILE: cannot read "
        "/var/run/gamekeeper/tls/tls.crt: No such file or directory; "
        "is the Secret there that the volume shows?",
    )
    server.kubectl("delete", "-f", "-", input=yaml.safe_dump(service))


def test_the_notes_name_what_to_look_at(server):
    text = installed(server, "install", "notes", str(CHART), "--dry-run=client")
    assert "kubectl -n gamekeeper-system get pods -l gamekeeper.dev/leader=true" in text
    assert "notes-gamekeeper-reports-tls" in text
