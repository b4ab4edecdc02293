"""When a probe runs and what its outcomes mean: periods, thresholds, streaks. Pure.

A result changes only after a streak: `failureThreshold` failures or `successThreshold` successes in
a row. Until then the result before stands, which is why a probe begins with one: a container is
alive, not ready and not started until shown otherwise.

Source: Kubernetes documentation, "Configure Liveness, Readiness and Startup Probes"; the streaks
are those of pkg/kubelet/prober/worker.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localcluster.kubelet.fields import Json


class ProbeKind(Enum):
    """The three probes of a container; the value is the field's name."""

    STARTUP = "startupProbe"
    LIVENESS = "livenessProbe"
    READINESS = "readinessProbe"

    @property
    def title(self) -> str:
        """The word that begins its events."""
        return self.value.removesuffix("Probe").capitalize()


@dataclass(frozen=True, slots=True)
class ProbeRules:
    """One probe of a container's spec.

    Args:
        handler: the spec itself, with exactly one of exec, httpGet, tcpSocket, grpc.
        initial_delay_seconds: after the start of the container.
        period_seconds: between two runs.
        timeout_seconds: of one run.
        success_threshold: successes in a row that make the result a success.
        failure_threshold: failures in a row that make it a failure.
        grace_seconds: of the stop that a failure causes; None for the pod's.
    """

    handler: Json
    initial_delay_seconds: float
    period_seconds: float
    timeout_seconds: float
    success_threshold: int
    failure_threshold: int
    grace_seconds: float | None


def probe_rules(container: Json, kind: ProbeKind) -> ProbeRules | None:
    """Return a container's probe of this kind with the API's defaults; None if it has none."""
    probe = container.get(kind.value)
    if not probe:
        return None
    # 0 means "the default" on the wire, as for every number of a probe but the delay.
    return ProbeRules(
        handler=probe,
        initial_delay_seconds=probe.get("initialDelaySeconds") or 0,
        period_seconds=probe.get("periodSeconds") or 10,
        timeout_seconds=probe.get("timeoutSeconds") or 1,
        success_threshold=probe.get("successThreshold") or 1,
        failure_threshold=probe.get("failureThreshold") or 3,
        grace_seconds=probe.get("terminationGracePeriodSeconds"),
    )


@dataclass(frozen=True, slots=True)
class Streak:
    """The outcomes so far.

    Args:
        result: what counts now; before the first outcome, what is assumed.
        last: the newest outcome; None before the first.
        length: how many outcomes in a row are like the newest.
    """

    result: bool
    last: bool | None = None
    length: int = 0


def advance(streak: Streak, rules: ProbeRules, *, success: bool) -> Streak:
    """Return the state after one more outcome."""
    length = streak.length + 1 if streak.last is success else 1
    seen = replace(streak, last=success, length=length)
    threshold = rules.success_threshold if success else rules.failure_threshold
    return replace(seen, result=success) if length >= threshold else seen


def has_failed(streak: Streak, rules: ProbeRules) -> bool:
    """Return whether a liveness or startup probe asks for the end of its container."""
    return streak.last is False and streak.length >= rules.failure_threshold
