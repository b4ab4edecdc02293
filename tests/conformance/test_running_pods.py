"""Pods that run: their status, their logs, commands in them, and their end.

They run on any Linux node; against the local server the suite starts the local kubelet.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected
from tests.conformance.client import make, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conformance.client import Json, Namespace

pytestmark = pytest.mark.usefixtures("kubelet")

IMAGE = "busybox"
STAY = "trap 'exit 0' TERM; echo first; echo last; while true; do sleep 0.1; done"
_ERROR_CHANNEL = 3


def _pod(script: str, **spec: Any) -> Json:
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 5, **spec}
    return make("pods", "game", {"spec": spec})


async def _phase(ns: Namespace, *wanted: str) -> Json:
    """Return the pod once it is in one of these phases."""
    found: Json = {}

    async def reached() -> bool:
        found.update((await ns.get("pods", "game")).ok())
        return found["status"].get("phase") in wanted

    await _until(reached, found)
    return found


async def _ready(ns: Namespace) -> Json:
    found: Json = {}

    async def is_ready() -> bool:
        found.update((await ns.get("pods", "game")).ok())
        conditions = found["status"].get("conditions") or []
        return {"Ready": "True"}.items() <= {c["type"]: c["status"] for c in conditions}.items()

    await _until(is_ready, found)
    return found


async def _until(holds: Callable[[], Awaitable[bool]], found: Json) -> None:
    """Return once `holds`; a pod that does not get there is shown as it was last."""
    try:
        await until(holds)
    except TimeoutError:
        node = found["spec"].get("nodeName")
        pytest.fail(f"on node {node}: {json.dumps(found['status'], indent=1)}")


async def test_a_pod_that_runs_says_so(namespace: Namespace) -> None:
    (await namespace.post("pods", _pod(STAY))).ok()
    status = (await _ready(namespace))["status"]
    (container,) = status["containerStatuses"]
    assert (status["phase"], bool(status["podIP"]), list(container["state"])) == (
        "Running",
        True,
        ["running"],
    ), sources.POD_API
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    assert {kind: conditions[kind] for kind in kinds} == dict.fromkeys(kinds, "True")


@pytest.mark.parametrize(
    ("code", "phase", "reason"), [(0, "Succeeded", "Completed"), (3, "Failed", "Error")]
)
async def test_a_pod_that_is_not_restarted_ends_in_a_phase(
    namespace: Namespace, code: int, phase: str, reason: str
) -> None:
    (await namespace.post("pods", _pod(f"exit {code}", restartPolicy="Never"))).ok()
    ended = await _phase(namespace, "Succeeded", "Failed")
    (container,) = ended["status"]["containerStatuses"]
    state = container["state"]["terminated"]
    assert (ended["status"]["phase"], state["exitCode"], state["reason"]) == (
        phase,
        code,
        reason,
    ), sources.POD_API


@pytest.mark.parametrize(
    ("query", "text"),
    [
        pytest.param({}, "first\nlast\n", id="whole"),
        pytest.param({"tailLines": "1"}, "last\n", id="tail"),
        pytest.param({"tailLines": "0"}, "", id="no-lines"),
        pytest.param({"limitBytes": "5"}, "first", id="bytes"),
        pytest.param({"container": "main"}, "first\nlast\n", id="named"),
    ],
)
async def test_the_log_of_a_pod_is_what_it_printed(
    namespace: Namespace, query: dict[str, str], text: str
) -> None:
    script = "echo first; echo last"
    (await namespace.post("pods", _pod(script, restartPolicy="Never"))).ok()
    await _phase(namespace, "Succeeded")
    answer = await namespace.get("pods", "game/log", **query)
    assert (answer.code, answer.body) == (200, text), sources.POD_API


async def test_a_container_that_never_ended_has_no_previous_log(namespace: Namespace) -> None:
    (await namespace.post("pods", _pod(STAY))).ok()
    await _ready(namespace)
    answer = await namespace.get("pods", "game/log", previous="true")
    Expected(400, "BadRequest", sources.POD_API).check(answer)


@pytest.mark.parametrize(
    ("script", "output", "status"),
    [
        pytest.param("echo hello", "hello\n", {"status": "Success"}, id="success"),
        pytest.param(
            "exit 3",
            "",
            {
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "causes": [{"reason": "ExitCode", "message": "3"}],
            },
            id="failure",
        ),
    ],
)
async def test_a_command_in_a_pod_ends_with_a_status(
    namespace: Namespace, script: str, output: str, status: Json
) -> None:
    (await namespace.post("pods", _pod(STAY))).ok()
    await _ready(namespace)
    url = namespace.cluster.server + namespace.path("pods", "game", "exec")
    query = [("command", word) for word in ("sh", "-c", script)]
    query += [("stdout", "true"), ("stderr", "true")]
    channels: dict[int, bytes] = {}
    async with namespace.cluster.session.ws_connect(
        url, params=query, protocols=("v5.channel.k8s.io",)
    ) as socket:
        async for message in socket:
            channel = message.data[0]
            channels[channel] = channels.get(channel, b"") + message.data[1:]
    ended = json.loads(channels[_ERROR_CHANNEL])
    told = {key: ended[key] for key in ("status", "reason") if ended.get(key)}
    if "causes" in ended.get("details", {}):
        told["causes"] = ended["details"]["causes"]
    assert (channels.get(1, b"").decode(), told) == (output, status), sources.POD_API


@pytest.mark.parametrize("seconds", [None, 1, 0])
async def test_a_running_pod_goes_when_it_is_deleted(
    namespace: Namespace, seconds: int | None
) -> None:
    (await namespace.post("pods", _pod(STAY))).ok()
    await _ready(namespace)
    options = {} if seconds is None else {"gracePeriodSeconds": seconds}
    marked = (await namespace.delete("pods", "game", options)).ok()
    if seconds != 0:
        metadata = marked["metadata"]
        assert metadata["deletionGracePeriodSeconds"] == (5 if seconds is None else seconds), (
            sources.POD_TERMINATION
        )
    await namespace.gone("pods", "game")


async def test_an_evicted_pod_ends_in_its_grace_period(namespace: Namespace) -> None:
    (await namespace.post("pods", _pod(STAY))).ok()
    await _ready(namespace)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "game"}}
    path = namespace.path("pods", "game", "eviction")
    answer = await namespace.cluster.request("POST", path, eviction)
    assert (answer.code, answer.body["status"]) == (201, "Success"), sources.EVICTION
    await namespace.gone("pods", "game")
