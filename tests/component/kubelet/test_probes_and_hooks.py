"""Probes and lifecycle hooks of the template, on a real cluster.

Source: https://kubernetes.io/docs/concepts/workloads/pods/probes/ and
https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
"""

from __future__ import annotations

import os
import sys

import pytest

from tests.support.kubelet_cluster import Json, Pods, shell

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]
BOTH = ["cluster_of_root", "cluster_of_uid_1000"]


def probe(script: str, **fields: object) -> Json:
    # A second, the default, can be too short for a shell on a machine with other work to do.
    patient = {"periodSeconds": 1, "timeoutSeconds": 20}
    return {"exec": {"command": ["bash", "-c", script]}, **patient, **fields}


def ready(pod: Json) -> str:
    return next(c["status"] for c in pod["status"]["conditions"] if c["type"] == "Ready")


@pytest.mark.parametrize("pods", BOTH, indirect=True)
def test_startup_gates_readiness_shows_and_liveness_restarts(pods: Pods) -> None:
    main = shell(
        "touch /tmp/dead; exec sleep 1000",
        startupProbe=probe("test -e /tmp/started", failureThreshold=60),
        readinessProbe=probe("test -e /tmp/ready || { echo not yet; exit 1; }", failureThreshold=1),
        livenessProbe=probe("test ! -e /tmp/dead", failureThreshold=1),
    )
    pods.start("game", main, ready=False, terminationGracePeriodSeconds=0)

    # The liveness probe would fail, and the readiness probe would say so, if they ran already.
    pods.until_event("game", ("Unhealthy", "Startup probe failed: "))
    status = pods.container("game")
    assert (status["started"], status["ready"], status["restartCount"]) == (False, False, 0)
    assert not any("Readiness" in message for _, message in pods.events("game"))

    pods.shell("game", "rm /tmp/dead; touch /tmp/started")
    pods.until_event("game", ("Unhealthy", "Readiness probe failed: not yet\n"))
    status = pods.container("game")
    assert (status["started"], status["ready"]) == (True, False)

    pods.shell("game", "touch /tmp/ready")
    pods.until("game", lambda pod: ready(pod) == "True", "is ready")
    pods.shell("game", "rm /tmp/ready")
    pods.until("game", lambda pod: ready(pod) == "False", "is not ready again")

    pods.shell("game", "touch /tmp/dead")
    pods.until_event("game", ("Killing", "Container main failed liveness probe, will be restarted"))
    pod = pods.until(
        "game", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1, "restarted"
    )
    (status,) = pod["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert (status["started"], ready(pod)) == (False, "False")


def test_a_command_that_hangs_is_ended_and_one_that_is_missing_counts_neither_way(
    pods: Pods,
) -> None:
    hangs = {"exec": {"command": ["sleep", "4321"]}, "periodSeconds": 1, "failureThreshold": 60}
    missing = {"exec": {"command": ["no-such-command"]}, "periodSeconds": 1, "failureThreshold": 1}
    pods.start(
        "game",
        shell("exec sleep 1000", livenessProbe=hangs),
        shell("exec sleep 1000", "other", livenessProbe=missing),
    )

    pods.until_event(
        "game",
        (
            "Unhealthy",
            'Liveness probe failed: command timed out: "sleep 4321" timed out after 1s',
        ),
        (
            "Unhealthy",
            'Liveness probe errored: exec: "no-such-command": executable file not found in $PATH',
        ),
    )
    # At most the one that runs now is there: those before it were ended.
    running = pods.shell("game", "pgrep -fc '[s]leep 4321'; true")
    assert int(running) <= 1
    assert [c["restartCount"] for c in pods.get("game")["status"]["containerStatuses"]] == [0, 0]


def test_http_and_tcp_probes_reach_the_pods_own_address(pods: Pods) -> None:
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    main = {
        "name": "main",
        "image": "game:1",
        # Not the one of the virtual environment: a checkout below /tmp is hidden in a pod.
        "command": [
            os.path.realpath(sys.executable),
            *("-m", "http.server", "8090", "--bind", "$(POD_IP)"),
        ],
        "env": [address],
        "ports": [{"name": "web", "containerPort": 8090}],
        "readinessProbe": {
            "httpGet": {"path": "/up.txt", "port": "web"},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
        "livenessProbe": {"tcpSocket": {"port": 8090}, "periodSeconds": 1, "failureThreshold": 100},
    }
    pods.start("game", main, ready=False)

    message = "Readiness probe failed: HTTP probe failed with statuscode: 404"
    pods.until_event("game", ("Unhealthy", message))
    pods.shell("game", "touch /data/up.txt")

    pods.kubectl("wait", "--for=condition=Ready", "pod/game", "--timeout=60s")
    assert pods.container("game")["restartCount"] == 0


def test_hooks_and_sidecars_end_in_order_within_the_grace_period(pods: Pods) -> None:
    pods.apply(
        "PersistentVolumeClaim",
        "kept",
        spec={
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    )
    volumes = [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}]
    mounts = [{"name": "kept", "mountPath": "/kept"}]

    def server(name: str, **fields: object) -> Json:
        said = f"echo {name} ended >> /kept/log"
        script = f"trap '{said}; exit 0' TERM; echo {name} began >> /kept/log; "
        # The hook must not find a container that does not listen yet.
        script += "touch /tmp/listens; while :; do sleep 0.02; done"
        return shell(script, name, volumeMounts=mounts, **fields)

    def hook(said: str) -> Json:
        script = f"until [ -e /tmp/listens ]; do sleep 0.02; done; echo {said} >> /kept/log"
        return {"exec": {"command": ["bash", "-c", script]}}

    pods.start(
        "game",
        server("main", lifecycle={"postStart": hook("post"), "preStop": hook("pre")}),
        initContainers=[
            server("a", restartPolicy="Always", startupProbe=probe("test -e /tmp/listens")),
            shell("echo prepared >> /kept/log", "prepare", volumeMounts=mounts),
            server("b", restartPolicy="Always", startupProbe=probe("test -e /tmp/listens")),
        ],
        volumes=volumes,
        terminationGracePeriodSeconds=60,
    )
    pods.kubectl("delete", "pod", "game", "--timeout=60s")
    pods.start("reader", shell("exec sleep 1000", volumeMounts=mounts), volumes=volumes)

    assert pods.shell("reader", "cat /kept/log").splitlines() == [
        "a began",
        "prepared",
        "b began",
        "main began",
        "post",
        "pre",
        "main ended",
        "b ended",
        "a ended",
    ]
    path = "jsonpath={.status.phase} {.status.capacity.storage}"
    assert pods.kubectl("get", "pvc", "kept", "-o", path).stdout == "Bound 1Mi"


def test_a_hook_that_hangs_ends_with_the_grace_and_one_that_fails_restarts(pods: Pods) -> None:
    hangs = {"preStop": {"exec": {"command": ["sleep", "1000"]}}}
    fails = {"postStart": {"exec": {"command": ["false"]}}}
    pods.start("slow", shell("exec sleep 1000", lifecycle=hangs), terminationGracePeriodSeconds=1)
    pods.start("bad", shell("exec sleep 1000", lifecycle=fails), ready=False)

    # kubectl waits for the end; the hook alone would take longer than it has patience.
    pods.kubectl("delete", "pod", "slow", "--timeout=60s")

    pods.until_event(
        "bad",
        ("FailedPostStartHook", "PostStartHook failed"),
        ("Killing", "FailedPostStartHook"),
    )
    pods.until("bad", lambda _: pods.container("bad")["restartCount"] >= 1, "was restarted")
