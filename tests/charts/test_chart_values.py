"""Values that are refused, each with one clear line, before anything reaches a cluster."""

import re

import pytest

from tests.support.helm import CHART, helm, render, template

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

GOOD = {
    "defaults": {},
    "one replica": {"aggregator.replicas": 1},
    "a namespace": {"watchNamespace": "games"},
    "a Secret of one's own": {"tls.mode": "secret", "tls.secretName": "reports"},
    "cert-manager": {"tls.mode": "certManager"},
    "cert-manager's cluster issuer": {
        "tls.mode": "certManager",
        "tls.certManager.issuerRef": {
            "name": "company",
            "kind": "ClusterIssuer",
            "group": "cert-manager.io",
        },
    },
    "images by digest": {"agent.image.digest": "sha256:" + "0" * 64},
    "no status port": {"agent.statusPort": 0},
    "fractions of a second": {"agent.heartbeatSeconds": 2.5},
    "an account of one's own": {"serviceAccount.create": False, "serviceAccount.name": "mine"},
    "a fixed address": {"services.reports.clusterIP": "10.96.0.9"},
    "values of a parent chart": {"global": {"team": "red"}},
}


@pytest.mark.parametrize("values", GOOD.values(), ids=GOOD)
def test_good_values_are_taken(values):
    assert render(values)


SCHEMA = "values don't meet the specifications of the schema(s) in the following chart(s):"
BAD = {
    "an unknown key": ({"aggregatr": {}}, "at '': additional properties 'aggregatr' not allowed"),
    "an unknown key inside": (
        {"agent.imge": "x"},
        "at '/agent': additional properties 'imge' not allowed",
    ),
    "no replicas": (
        {"aggregator.replicas": 0},
        "at '/aggregator/replicas': minimum: got 0, want 1",
    ),
    "replicas as text": (
        {"aggregator.replicas": "2"},
        "at '/aggregator/replicas': got string, want integer",
    ),
    "a level that is none": (
        {"aggregator.logLevel": "loud"},
        "at '/aggregator/logLevel': value must be one of 'debug', 'info', 'warning', 'error'",
    ),
    "no image": (
        {"agent.image.repository": ""},
        "at '/agent/image/repository': '' does not match pattern",
    ),
    "a placement that is none": (
        {"agent.placement": "daemon"},
        "at '/agent/placement': value must be one of 'auto', 'native', 'container'",
    ),
    "a port that is none": (
        {"agent.statusPort": 70000},
        "at '/agent/statusPort': maximum: got 70,000, want 65,535",
    ),
    "a heartbeat that is too slow": (
        {"agent.heartbeatSeconds": 301},
        "at '/agent/heartbeatSeconds': maximum: got 301, want 300",
    ),
    "a switch as text": ({"rbac.create": "yes"}, "at '/rbac/create': got string, want boolean"),
    "a quantity that is none": (
        {"agent.resources.memoryLimit": "much"},
        "at '/agent/resources/memoryLimit': 'much' does not match pattern",
    ),
    "a TLS mode that is none": (
        {"tls.mode": "none"},
        "at '/tls/mode': value must be one of 'self', 'certManager', 'secret'",
    ),
}


@pytest.mark.parametrize(("values", "line"), BAD.values(), ids=BAD)
def test_bad_values_are_refused_with_their_path(values, line):
    done = template(values)
    faults = [each[2:] for each in done.stderr.splitlines() if each.startswith("- ")]
    assert (done.returncode, SCHEMA in done.stderr, len(faults)) == (1, True, 1), done.stderr
    assert faults[0].startswith(line)


TOGETHER = {
    "no Secret to take": (
        {"tls.mode": "secret"},
        "tls.secretName must name a Secret with tls.crt, tls.key and ca.crt "
        "when tls.mode is secret",
    ),
    "no account": (
        {"serviceAccount.create": False},
        "serviceAccount.name must be set when serviceAccount.create is false",
    ),
    "clients' certificates of nobody": (
        {"scaler.clientCertificates": True},
        "scaler.tlsSecretName must be set when scaler.clientCertificates is true",
    ),
    "an issuer that nobody asks": (
        {"tls.certManager.issuerRef.name": "company"},
        "tls.certManager.issuerRef is set, but tls.mode is not certManager",
    ),
}


@pytest.mark.parametrize(("values", "line"), TOGETHER.values(), ids=TOGETHER)
def test_values_that_do_not_fit_together_are_refused_in_one_line(values, line):
    done = template(values)
    assert done.returncode == 1
    (said,) = [each for each in done.stderr.splitlines() if each.startswith("Error:")]
    assert re.fullmatch(rf"Error: execution error at \([^)]+\): {re.escape(line)}", said), said


def test_the_chart_has_no_faults_for_helm():
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout
