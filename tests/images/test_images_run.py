"""The images in real containers: read-only root, stated user and capabilities, seccomp.

The agent probes a second container that shares its PID namespace, with each security profile that
the aggregator gives it.
"""

import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from aggregator.gameserverset.security_profile import security_context
from localcluster.cluster import free_port
from shared.clock import monotonic_seconds
from tests.support.apiserver import start_apiserver
from tests.support.helm import CHART, aggregator_container, of_kind, render
from tests.support.report_server import TOKEN, report_server
from tests.support.runc import Container, require_runc, running

pytestmark = [pytest.mark.component, pytest.mark.timeout(90)]

POD_UID = "11111111-2222-3333-4444-555555555555"
PYTHON = ("/usr/bin/python3", "-S", "-c")
SLEEP = (*PYTHON, "import time; time.sleep(600)")
FOLDER = "/var/run/gamekeeper"


@pytest.fixture(autouse=True)
def tools():
    require_runc()


def until(condition, seconds=30):
    deadline = monotonic_seconds() + seconds
    while not condition():
        assert monotonic_seconds() < deadline
        time.sleep(0.05)


def container_of(image, arguments=None, environment=None, **fields):
    """A container of an image, run as the image says unless told otherwise."""
    chosen = image.environment | (environment or {})
    return Container(image.root, arguments or image.config["Entrypoint"], chosen, **fields)


def deployed_context():
    """The securityContext of the Deployment: the pod's and the container's together."""
    objects = render()
    (deployment,) = of_kind(objects, "Deployment").values()
    pod = deployment["spec"]["template"]["spec"]["securityContext"]
    return pod | aggregator_container(objects)["securityContext"]


@pytest.mark.parametrize("name", ["agent", "aggregator"])
def test_without_settings_they_say_in_one_line_what_is_missing(name, request, tmp_path):
    image = request.getfixturevalue(f"{name}_image")
    context = security_context("none") if name == "agent" else deployed_context()
    with running(container_of(image, context=context), tmp_path) as process:
        assert process.wait(60) == 2
    (line,) = (tmp_path / "output.txt").read_text().splitlines()
    assert "GAMEKEEPER_" in line


def test_the_root_of_a_container_cannot_be_written(agent_image, tmp_path):
    writing = (*PYTHON, "open('/tmp/x', 'w')")
    container = container_of(agent_image, writing, context=security_context("default"))
    with running(container, tmp_path) as process:
        assert process.wait(60) == 1
    assert "Read-only file system: '/tmp/x'" in (tmp_path / "output.txt").read_text()


def test_the_aggregator_gets_ready_as_nobody_with_no_capability(aggregator_image, tmp_path):
    server = start_apiserver(tmp_path / "apiserver", sorted((CHART / "crds").iterdir()))
    try:
        body = yaml.safe_load(server.kubeconfig.read_text())
        body["clusters"][0]["cluster"]["certificate-authority"] = f"{FOLDER}/ca.pem"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(body))
        health = free_port()
        settings = {
            "KUBECONFIG": f"{FOLDER}/kubeconfig",
            "AGENT_IMAGE": "agent:1",
            "REPORT_URLS": "http://127.0.0.1:1",
            "REPORT_ADDRESS": "127.0.0.1",
            "REPORT_PORT": "0",
            "HEALTH_ADDRESS": "127.0.0.1",
            "HEALTH_PORT": str(health),
            "STATUS_PORT": "0",
        }
        container = container_of(
            aggregator_image,
            environment={f"GAMEKEEPER_{name}": value for name, value in settings.items()},
            context=deployed_context(),
            mounts={f"{FOLDER}/kubeconfig": kubeconfig, f"{FOLDER}/ca.pem": server.ca_file},
        )
        with running(container, tmp_path) as aggregator:
            until(lambda: is_ready(health))
            status = Path(f"/proc/{aggregator.pid()}/status").read_text()
    finally:
        assert server.stop() == 0
    held = dict(line.split(":\t", 1) for line in status.splitlines())
    assert held["Uid"].split() == ["65532"] * 4
    assert (held["CapEff"], held["CapBnd"], held["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
    assert held["Seccomp"] == "2"


def is_ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def pod(image, tmp_path, profile, target):
    """A pause container, a game with this securityContext and an agent of this profile."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with (
        report_server(tmp_path, []) as server,
        running(container_of(image, SLEEP), tmp_path) as pause,
    ):
        shared = f"/proc/{pause.pid()}/ns/pid"
        log = tmp_path / "pods" / POD_UID / "containers" / "game" / "0a1b2c3d"
        log.parent.mkdir(parents=True)
        log.touch()
        game = container_of(
            image,
            SLEEP,
            {"PATH": "/usr/bin", "GAME": "minecraft"},
            context=target,
            mounts={"/dev/termination-log": log},
            working_directory="/opt/gamekeeper",
            pid_namespace=shared,
        )
        settings = {
            "REPORT_URLS": server.url,
            "TOKEN_FILE": f"{FOLDER}/token",
            "CA_FILE": f"{FOLDER}/ca.crt",
            "POD_UID": POD_UID,
            "STATUS_PORT": "0",
        }
        agent = container_of(
            image,
            environment={f"GAMEKEEPER_{name}": value for name, value in settings.items()},
            context=security_context(profile),
            mounts={f"{FOLDER}/token": token, f"{FOLDER}/ca.crt": server.ca_file},
            pid_namespace=shared,
        )
        server.offer([PROBE], "r1", heartbeat=1)
        with running(game, tmp_path), running(agent, tmp_path):
            yield server


WHO = "import os; print(os.getuid(), os.getgid(), os.getcwd(), os.environ['GAME'])"
PROBE = {
    "name": "who",
    "containerName": "game",
    "exec": {"command": ["python3", "-S", "-c", WHO]},
    "initialDelaySeconds": 0,
    "periodSeconds": 1,
    "timeoutSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 1,
}
PLAYER = {"runAsUser": 1000, "allowPrivilegeEscalation": False}
ROOT = {"runAsUser": 0}
ADMIN = {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}


def can(text):
    return {"status": "True", "result": text, "reason": "", "exitCode": 0}


def cannot(reason):
    return {"status": "Unknown", "result": "", "reason": reason}


@pytest.mark.parametrize(
    ("profile", "target", "expected"),
    [
        pytest.param("minimal", PLAYER, can("1000 1000 /opt/gamekeeper minecraft"), id="player"),
        pytest.param("default", PLAYER, can("1000 1000 /opt/gamekeeper minecraft"), id="more"),
        pytest.param("default", ROOT, can("0 0 /opt/gamekeeper minecraft"), id="root"),
        pytest.param("ptrace", ADMIN, can("0 0 /opt/gamekeeper minecraft"), id="privileged"),
        pytest.param(
            "minimal", ROOT, cannot("TargetHasMoreCapabilities"), id="too little for root"
        ),
        pytest.param(
            "default", ADMIN, cannot("TargetHasMoreCapabilities"), id="too little for more"
        ),
        pytest.param("none", PLAYER, cannot("MissingCapability"), id="nothing for exec"),
    ],
)
def test_a_profile_is_enough_for_what_it_is_made_for_and_says_what_is_missing(
    agent_image, tmp_path, profile, target, expected
):
    with pod(agent_image, tmp_path, profile, target) as server:
        said = server.wait_for(
            lambda body: any(
                entry["status"] == expected["status"] and entry["reason"] != "ProbePending"
                for entry in body["probes"]
            ),
            timeout=40,
        )
    (entry,) = said["probes"]
    assert {name: entry[name] for name in expected} == expected
