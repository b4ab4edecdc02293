"""Runtime state of a pod's containers -> the pod's status. Pure.

Source: Kubernetes documentation, "Pod Lifecycle"; the phase rules are those of kubelet's getPhase.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from localcluster.kubelet.fields import Json

CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not started; `message` may be empty."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Its main process runs.

    Args:
        started_at: when it was started.
        is_started: whether its startup probe, if it has one, has succeeded.
        is_ready: whether its readiness probe, if it has one, succeeds.
    """

    started_at: datetime
    is_started: bool = True
    is_ready: bool = True


@dataclass(frozen=True, slots=True)
class Terminated:
    """Its main process has ended; `exit_code` is 128 + n for a signal n."""

    exit_code: int
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime
    container_id: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container now.

    Args:
        name: of the container.
        state: now.
        last: how the instance before this one ended.
        restart_count: starts after the first.
        has_run: whether any instance ever ran and passed its startup probe.
        container_id: of the newest instance, with its scheme; empty before the first.
        image: as the pod names it.
        image_id: the folder it comes from; empty when not mapped.
    """

    name: str
    state: Waiting | Running | Terminated
    last: Terminated | None
    restart_count: int
    has_run: bool
    container_id: str
    image: str
    image_id: str


@dataclass(frozen=True, slots=True)
class PodFailure:
    """Why the kubelet ended a pod that had not ended by itself."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod now.

    Args:
        started_at: when the kubelet accepted it.
        pod_ip: its address.
        host_ip: the node's.
        init: its init containers in order, native sidecars included.
        main: its containers in order.
        failure: set once the kubelet has given the pod up.
    """

    started_at: datetime
    pod_ip: str
    host_ip: str
    init: tuple[ContainerState, ...]
    main: tuple[ContainerState, ...]
    failure: PodFailure | None = None


def timestamp(moment: datetime) -> str:
    """Return the wire form of a moment: RFC 3339, whole seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_sidecar(container: Json) -> bool:
    """Return whether an init container is a native sidecar."""
    return bool(container.get("restartPolicy") == "Always")


def build_status(spec: Json, now_state: PodState, before: list[Json], now: datetime) -> Json:
    """Return the whole status of a pod.

    Args:
        spec: of the pod.
        now_state: what runs.
        before: the conditions so far, those of others too; one that does not change keeps its
            transition time, and a readiness gate is looked up here.
        now: the time of a changed condition.
    """
    sidecars = {c["name"] for c in spec.get("initContainers", []) if is_sidecar(c)}
    initialized = all(_is_initialized(c, c.name in sidecars) for c in now_state.init)
    phase = _phase(now_state, spec.get("restartPolicy", "Always"), initialized=initialized)
    conditions = _conditions(now_state, sidecars, phase, initialized=initialized)
    gates = [gate["conditionType"] for gate in spec.get("readinessGates") or []]
    conditions[1] = _gated(conditions[1], gates, before)
    status: Json = {
        "phase": phase,
        "conditions": _with_times(conditions, before, now),
        "hostIP": now_state.host_ip,
        "hostIPs": [{"ip": now_state.host_ip}],
        "podIP": now_state.pod_ip,
        "podIPs": [{"ip": now_state.pod_ip}],
        "startTime": timestamp(now_state.started_at),
        "containerStatuses": [_container(c, runs_on=True) for c in now_state.main],
    }
    if now_state.init:
        status["initContainerStatuses"] = [
            _container(c, runs_on=c.name in sidecars) for c in now_state.init
        ]
    if now_state.failure is not None:
        status["reason"] = now_state.failure.reason
        status["message"] = now_state.failure.message
    return status


def _is_initialized(container: ContainerState, sidecar: bool) -> bool:
    if sidecar:
        return container.has_run
    return isinstance(container.state, Terminated) and container.state.exit_code == 0


def _phase(now_state: PodState, policy: str, *, initialized: bool) -> str:
    main = now_state.main
    if now_state.failure is not None:
        return "Failed"
    if policy == "Never" and any(_has_failed(c) for c in now_state.init):
        return "Failed"
    never_started = [c for c in main if isinstance(c.state, Waiting) and c.last is None]
    if not initialized or never_started:
        return "Pending"
    if any(isinstance(c.state, Running) for c in main) or policy == "Always":
        return "Running"
    codes = [c.state.exit_code for c in main if isinstance(c.state, Terminated)]
    if len(codes) == len(main) and not any(codes):
        return "Succeeded"
    # Under OnFailure a failed container waits for its next start.
    return "Failed" if policy == "Never" else "Running"


def _has_failed(container: ContainerState) -> bool:
    return isinstance(container.state, Terminated) and container.state.exit_code != 0


def _conditions(
    now_state: PodState, sidecars: set[str], phase: str, *, initialized: bool
) -> list[Json]:
    counted = [*now_state.main, *(c for c in now_state.init if c.name in sidecars)]
    unready = [c.name for c in counted if not _is_ready(c)]
    if not unready:
        ready: Json = {"status": "True"}
    elif phase == "Succeeded":
        ready = {"status": "False", "reason": "PodCompleted"}
    elif phase == "Failed":
        ready = {"status": "False", "reason": "PodFailed"}
    else:
        names = " ".join(unready)
        message = f"containers with unready status: [{names}]"
        ready = {"status": "False", "reason": "ContainersNotReady", "message": message}
    incomplete = [c.name for c in now_state.init if not _is_initialized(c, c.name in sidecars)]
    initial: Json = {"status": "True"}
    if not initialized:
        message = f"containers with incomplete status: [{' '.join(incomplete)}]"
        initial = {"status": "False", "reason": "ContainersNotInitialized", "message": message}
    return [
        {"type": "Initialized", **initial},
        {"type": "Ready", **ready},
        {"type": "ContainersReady", **ready},
        {"type": "PodScheduled", "status": "True"},
    ]


def _is_ready(container: ContainerState) -> bool:
    state = container.state
    return isinstance(state, Running) and state.is_started and state.is_ready


def _gated(ready: Json, gates: list[str], before: list[Json]) -> Json:
    """Return the Ready condition after the pod's readiness gates: conditions that others write."""
    known = {condition["type"]: condition["status"] for condition in before}
    missing = [gate for gate in gates if known.get(gate) != "True"]
    if ready["status"] != "True" or not missing:
        return ready
    why = "; ".join(
        f'the status of pod readiness gate "{gate}" is not "True", but {known.get(gate, "False")}'
        for gate in missing
    )
    return {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": why}


def _with_times(conditions: list[Json], before: list[Json], now: datetime) -> list[Json]:
    known = {condition["type"]: condition for condition in before}
    timed = []
    for condition in conditions:
        old = known.get(condition["type"], {})
        same = old.get("status") == condition["status"] and "lastTransitionTime" in old
        moment = old["lastTransitionTime"] if same else timestamp(now)
        timed.append({**condition, "lastTransitionTime": moment})
    return timed


def _container(container: ContainerState, *, runs_on: bool) -> Json:
    started = isinstance(container.state, Running) and container.state.is_started
    completed = isinstance(container.state, Terminated) and container.state.exit_code == 0
    return {
        "name": container.name,
        "state": _state(container.state),
        "lastState": {} if container.last is None else _state(container.last),
        # A plain init container is ready once it has completed.
        "ready": _is_ready(container) if runs_on else completed,
        "started": started,
        "restartCount": container.restart_count,
        "image": container.image,
        "imageID": container.image_id,
        **({"containerID": container.container_id} if container.container_id else {}),
    }


def _state(state: Waiting | Running | Terminated) -> Json:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        case Running(started_at=started_at):
            return {"running": {"startedAt": timestamp(started_at)}}
        case Terminated():
            return {
                "terminated": {
                    "exitCode": state.exit_code,
                    "reason": state.reason,
                    **({"message": state.message} if state.message else {}),
                    "startedAt": timestamp(state.started_at),
                    "finishedAt": timestamp(state.finished_at),
                    "containerID": state.container_id,
                }
            }
        case _:
            assert_never(state)
