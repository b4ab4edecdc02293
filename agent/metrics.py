"""/metrics in the Prometheus text format, written by hand: the client library costs 3 MiB a pod.

Labels are closed sets: names and handlers of the probe list (64 at most), statuses, results.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.protocol.report import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agent.prober import ActiveProbe
    from shared.protocol.probes import ProbeSpec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_HANDLERS = ("exec", "http_get", "tcp_socket", "grpc")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its kind (counter or gauge), what it means, and its samples."""

    name: str
    kind: str
    help: str
    samples: tuple[tuple[Labels, float], ...]


@dataclass(slots=True)
class RunCounter:
    """How often the probe of one name ran, how it ended, and how long that took in all."""

    by_status: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    seconds: float = 0.0


def handler_of(spec: ProbeSpec) -> str:
    """Return the kind of a probe, as its field is called on the wire."""
    for name in _HANDLERS:
        if getattr(spec, name) is not None:
            head, _, tail = name.partition("_")
            return head + tail.capitalize()
    raise ValueError(f"the probe {spec.name!r} has no handler")


def probe_families(
    probes: Iterable[ActiveProbe], counters: Mapping[str, RunCounter]
) -> tuple[Family, ...]:
    """Return what the probes did and what they say now."""
    runs: list[tuple[Labels, float]] = []
    seconds: list[tuple[Labels, float]] = []
    verdicts: list[tuple[Labels, float]] = []
    for probe in probes:
        name = ("probe", probe.spec.name)
        kind = ("handler", handler_of(probe.spec))
        counter = counters.get(probe.spec.name) or RunCounter()
        for status in Status:
            is_published = probe.state.published.status == status
            runs.append(((name, kind, ("status", status)), counter.by_status[status]))
            verdicts.append(((name, ("status", status)), float(is_published)))
        seconds.append(((name, kind), counter.seconds))
    prefix = "gamekeeper_agent_probe"
    return (
        Family(f"{prefix}_runs_total", "counter", "Runs by how they ended.", tuple(runs)),
        Family(f"{prefix}_seconds_total", "counter", "Time that runs took.", tuple(seconds)),
        Family(f"{prefix}_verdict", "gauge", "1 for the published verdict.", tuple(verdicts)),
    )


def report_families(answers: Mapping[str, int], failures: int) -> tuple[Family, ...]:
    """Return how reports ended, by HTTP status, and how many in a row were not accepted."""
    samples = tuple(((("status", status),), count) for status, count in sorted(answers.items()))
    name = "gamekeeper_agent_reports_total"
    return (
        Family(name, "counter", "Reports by the HTTP status of their answer.", samples),
        gauge("gamekeeper_agent_report_failures", "Reports in a row not accepted.", failures),
    )


def process_families(started_at_seconds: float) -> tuple[Family, ...]:
    """Return memory and CPU of this process; of its ended children, scripts included, the CPU."""
    with open("/proc/self/statm", "rb") as file:
        resident = int(file.read().split()[1]) * _PAGE_BYTES
    times = os.times()
    own, children = times.user + times.system, times.children_user + times.children_system
    return (
        gauge("process_resident_memory_bytes", "Resident memory of the agent.", resident),
        counter("process_cpu_seconds_total", "CPU time of the agent.", own),
        counter("gamekeeper_agent_children_cpu_seconds_total", "CPU of ended children.", children),
        gauge("process_start_time_seconds", "Start, in seconds since 1970.", started_at_seconds),
    )


def gauge(name: str, help_text: str, value: float) -> Family:
    """Return a gauge without labels."""
    return Family(name, "gauge", help_text, (((), value),))


def counter(name: str, help_text: str, value: float) -> Family:
    """Return a counter without labels."""
    return Family(name, "counter", help_text, (((), value),))


def render_metrics(families: Iterable[Family]) -> str:
    """Return the page."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for labels, value in family.samples:
            text = ",".join(f'{name}="{_escape(label)}"' for name, label in labels)
            number = f"{value:.0f}" if value == int(value) else repr(value)
            lines.append(f"{family.name}{{{text}}} {number}" if text else f"{family.name} {number}")
    return "\n".join([*lines, ""])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
