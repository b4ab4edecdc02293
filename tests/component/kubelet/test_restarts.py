"""Restarts: a new image, crashes, policies, deadlines, and what they leave to read.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ and
https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

from __future__ import annotations

import json

import pytest

from tests.support.kubelet_cluster import NODE, Json, Pods, shell, until

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]


def statuses(pod: Json) -> dict[str, Json]:
    return {c["name"]: c for c in pod["status"].get("containerStatuses", [])}


def test_a_new_image_restarts_only_its_container(pods: Pods) -> None:
    pods.start("game", shell("exec sleep 1000"), shell("exec sleep 1000", "other"))
    before = statuses(pods.get("game"))

    pods.kubectl("set", "image", "pod/game", "main=game:2")
    pod = pods.until("game", lambda p: statuses(p)["main"]["restartCount"] == 1, "restarted main")
    pods.kubectl("wait", "--for=condition=Ready", "pod/game", "--timeout=60s")

    after = statuses(pods.get("game"))
    assert after["other"] == before["other"]
    assert after["main"]["image"] == "game:2"
    assert after["main"]["containerID"] != before["main"]["containerID"]
    ended = after["main"]["lastState"]["terminated"]
    assert ended["containerID"] == before["main"]["containerID"]
    assert pods.shell("game", "echo $VERSION") == "2\n"
    assert pod["metadata"]["generation"] == 2
    message = "Container main definition changed, will be restarted"
    pods.until_event("game", ("Killing", message))


def test_other_fields_of_a_running_pod_may_not_change(pods: Pods) -> None:
    pods.start("game", shell("exec sleep 1000"), ready=False)
    patch = {"spec": {"containers": [{"name": "main", "command": ["true"]}]}}

    refused = pods.kubectl("patch", "pod", "game", "-p", json.dumps(patch), check=False)

    assert refused.returncode == 1
    assert "spec: Forbidden: pod updates may not change fields other than" in refused.stderr


def test_a_crash_loop_backs_off_tells_the_story_and_ends_with_a_new_image(pods: Pods) -> None:
    script = "echo attempt; [ $VERSION = 2 ] && exec sleep 1000; echo last words >&2; exit 3"
    pods.start("game", shell(script, terminationMessagePolicy="FallbackToLogsOnError"), ready=False)
    pod = pods.until(
        "game",
        lambda p: (
            statuses(p)["main"]["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        ),
        "is in a crash loop",
    )
    last = statuses(pod)["main"]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (3, "Error")
    assert sorted(last["message"].splitlines()) == ["attempt", "last words"]
    assert statuses(pod)["main"]["restartCount"] >= 1
    name = f"game_{pods.namespace}({pod['metadata']['uid']})"
    pods.until_event(
        "game",
        ("Scheduled", f"Successfully assigned {pods.namespace}/game to {NODE}"),
        ("Pulled", 'Container image "game:1" already present on machine'),
        ("Created", "Created container: main"),
        ("Started", "Started container main"),
        ("BackOff", f"Back-off restarting failed container main in pod {name}"),
    )
    # Repeats are counted in one event.
    until(lambda: "(x2 over" in pods.kubectl("describe", "pod", "game").stdout, "a counted event")
    previous = pods.kubectl("logs", "game", "--previous").stdout
    assert sorted(previous.splitlines()) == ["attempt", "last words"]

    pods.kubectl("set", "image", "pod/game", "main=game:2")

    pods.kubectl("wait", "--for=condition=Ready", "pod/game", "--timeout=60s")


def test_policies_and_deadlines_end_pods_as_succeeded_or_failed(pods: Pods) -> None:
    once = shell(
        "[ -e /kept/once ] && exit 0; touch /kept/once; exit 1",
        volumeMounts=[{"name": "kept", "mountPath": "/kept"}],
    )
    volumes = [{"name": "kept", "emptyDir": {}}]
    pods.start("retries", once, ready=False, restartPolicy="OnFailure", volumes=volumes)
    pods.start("fails", shell("exit 4"), ready=False, restartPolicy="Never")
    pods.start("overdue", shell("exec sleep 1000"), ready=False, activeDeadlineSeconds=1)
    pods.start(
        "init",
        shell("exec sleep 1000"),
        ready=False,
        restartPolicy="OnFailure",
        initContainers=[{**once, "name": "prepare"}],
        volumes=volumes,
    )

    ended = {
        name: pods.until(
            name, lambda p: p["status"]["phase"] in ("Succeeded", "Failed"), "has ended"
        )["status"]
        for name in ("retries", "fails", "overdue")
    }

    assert {name: status["phase"] for name, status in ended.items()} == {
        "retries": "Succeeded",
        "fails": "Failed",
        "overdue": "Failed",
    }
    assert ended["retries"]["containerStatuses"][0]["restartCount"] == 1
    assert ended["overdue"]["reason"] == "DeadlineExceeded"
    pods.until("overdue", lambda p: "terminated" in statuses(p)["main"]["state"], "was stopped")
    pods.kubectl("wait", "--for=condition=Ready", "pod/init", "--timeout=60s")
    assert pods.container("init", "prepare")["restartCount"] == 1


def test_a_pod_that_cannot_start_says_why_to_kubectl_describe(pods: Pods) -> None:
    pods.start("game", {"name": "main", "image": "unknown:1"}, ready=False)
    mount = [{"name": "settings", "mountPath": "/settings"}]
    volume = {"name": "settings", "configMap": {"name": "absent"}}
    pods.start("waits", shell("true", volumeMounts=mount), ready=False, volumes=[volume])

    why = 'MountVolume.SetUp failed for volume "settings" : configmap "absent" not found'
    pods.until_event("waits", ("FailedMount", why))
    reason = "{.status.containerStatuses[0].state.waiting.reason}"
    for name, waiting in (("game", "ErrImageNeverPull"), ("waits", "ContainerCreating")):
        pods.kubectl("wait", f"--for=jsonpath={reason}={waiting}", f"pod/{name}", "--timeout=60s")
    refused = pods.kubectl("logs", "game", check=False)
    assert 'container "main" in pod "game" is waiting to start: ErrImageNeverPull' in refused.stderr
    pods.until_event(
        "game",
        (
            "ErrImageNeverPull",
            'Container image "unknown:1" is not mapped to a folder and images are never pulled; '
            "map it with --image unknown:1=FOLDER",
        ),
    )


def test_logs_can_be_cut_by_time_number_and_size(pods: Pods) -> None:
    script = (
        "echo one; echo two; until [ -e /tmp/go ]; do sleep 0.02; done; echo three; exec sleep 1000"
    )
    pods.start("game", shell("exec sleep 1000"), shell(script, "talks"))

    def logs(*options: str) -> list[str]:
        return pods.kubectl("logs", "game", "-c", "talks", *options).stdout.splitlines()

    until(lambda: logs() == ["one", "two"], "both lines are in the log")
    pods.shell("game", "touch /tmp/go", "talks")
    until(lambda: "three" in logs(), "the third line is in the log")
    assert logs("--tail=1") == ["three"]
    assert logs("--tail=0") == []
    assert logs("--since-time=2099-01-01T00:00:00Z") == []
    assert logs("--since=1h", "--tail=2") == ["two", "three"]
    assert logs("--limit-bytes=5") == ["one", "t"]
    refused = pods.kubectl("logs", "game", "-c", "talks", "--previous", check=False)
    assert 'previous terminated container "talks" in pod "game" not found' in refused.stderr
