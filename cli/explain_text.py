"""A server or a set as the status API tells of it, as text for a person. Pure.

What programs in game pods have printed is shown without its control characters: it must not be able
to write on a person's terminal.
"""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LABEL_WIDTH = 13
# Transitions and runs that are shown; JSON has them all.
_MOST_LINES = 10


def render_server(body: dict[str, Any]) -> str:
    """Return a whole server of `/v1/gameservers/NAMESPACE/NAME`."""
    lines = [
        f"{body['namespace']}/{body['name']}  {body['state'] or 'no state'}, "
        f"opsState {body['opsState'] or 'unset'}, deletionPriority {body['deletionPriority']}, "
        f"updatePriority {body['updatePriority']}",
        *_labelled("set", [body["gameServerSet"] or "none"]),
        *_labelled("agent", [_agent(body["agent"])]),
    ]
    if body.get("deletion"):
        lines += _labelled("deletion", [f"chosen ({body['deletion']})"])
    if body.get("networkDisabled") is not None:
        lines += _labelled("network", ["disabled" if body["networkDisabled"] else "enabled"])
    for quality in body["qualities"]:
        lines += ["", *_quality(quality)]
    lines += ["", f"changes since {_time(body['observedSince'])}", *_changes(body["transitions"])]
    return "\n".join(lines)


def render_set(body: dict[str, Any]) -> str:
    """Return a whole set of `/v1/gameserversets/NAMESPACE/NAME`."""
    lines = [
        f"{body['namespace']}/{body['name']}  {body['replicas']} wanted, "
        f"{body['currentReplicas']} there, {body['readyReplicas']} ready",
        *_labelled("opsStates", [_counts(body["opsStates"])]),
        *_labelled("agents", [_counts(body["agents"])]),
    ]
    if body["generation"] != body["observedGeneration"]:
        lines += _labelled("spec", ["changed, and not looked at yet"])
    for each in body["conditions"]:
        told = _clean(f"{each['type']} {each['status']} {each['reason']}: {each['message']}")
        lines += _labelled("condition", [told.rstrip(": ")])
    for quality in body["qualities"]:
        kind = " (permanent)" if quality["permanent"] else ""
        told = f"{_counts(quality['verdicts'])}  ->  {_counts(quality['decisions'])}"
        lines += _labelled("quality", [f"{quality['name']}{kind}: {told}"])
    lines += ["", *table(_SERVER_COLUMNS, [_server_row(each) for each in body["servers"]])]
    if body["serversOmitted"]:
        lines.append(f"and {body['serversOmitted']} more")
    return "\n".join(lines)


def render_sets(items: Sequence[dict[str, Any]]) -> str:
    """Return the sets of `/v1/gameserversets` as a table."""
    columns = ("NAMESPACE", "NAME", "WANTED", "THERE", "READY", "OPSSTATES", "AGENTS")
    rows = [
        (
            each["namespace"],
            each["name"],
            str(each["replicas"]),
            str(each["currentReplicas"]),
            str(each["readyReplicas"]),
            _counts(each["opsStates"]),
            _counts(each["agents"]),
        )
        for each in items
    ]
    return "\n".join(table(columns, rows))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with aligned columns, three blanks apart as kubectl has them."""
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    ]


_SERVER_COLUMNS = ("SERVER", "STATE", "OPSSTATE", "DP", "AGENT", "VERDICTS")


def _server_row(each: dict[str, Any]) -> tuple[str, ...]:
    verdicts = ", ".join(f"{name}={told}" for name, told in each["verdicts"].items())
    return (
        each["name"],
        each["state"],
        _clean(each["opsState"]),
        str(each["deletionPriority"]),
        each["agent"],
        _clean(verdicts) or "-",
    )


def _quality(quality: dict[str, Any]) -> list[str]:
    kind = " (permanent)" if quality["permanent"] else ""
    lines = [f"{quality['name']}{kind}  {quality['decision']}: {_clean(quality['message'])}"]
    if quality.get("verdict"):
        lines += _labelled("verdict", _verdict(quality["verdict"]))
    lines += _labelled("actions", [_action(each) for each in quality["actions"]])
    lines += _labelled("fields", [_field(each) for each in quality["fields"]])
    lines += _labelled("runs", [_run(each) for each in quality["runs"][-_MOST_LINES:]])
    return lines


def _verdict(verdict: dict[str, Any]) -> list[str]:
    parts = [_outcome(verdict)]
    if "durationSeconds" in verdict:
        parts.append(f"took {verdict['durationSeconds']:.3f} s")
    parts.append(f"run {verdict['runs']}, {verdict['consecutive']} alike")
    if "startedAt" in verdict:
        parts.append(f"at {_time(verdict['startedAt'])}")
    lines = [", ".join(parts)]
    if verdict["stderr"]:
        lines += [f"stderr: {_clean(line)}" for line in verdict["stderr"].splitlines()]
    return lines


def _outcome(run: dict[str, Any]) -> str:
    told = _clean(run["result"]) or run["reason"] or "empty"
    code = f", exit code {run['exitCode']}" if "exitCode" in run else ""
    return f"{run['status']}({told}){code}"


def _action(action: dict[str, Any]) -> str:
    state = str(action["state"]).lower()
    result = f", result {_clean(action['result'])}" if action["result"] else ""
    mark = "*" if action["matches"] else " "
    return f"{mark} state {state}{result}: {_clean(action['message'])}"


def _field(each: dict[str, Any]) -> str:
    asked = f" = {_clean(str(each['asked']))}" if "asked" in each else ""
    return f"{_clean(each['field'])}{asked}  {each['state']}: {_clean(each['message'])}"


def _run(run: dict[str, Any]) -> str:
    times = _time(run["firstAt"]) if "firstAt" in run else "unknown time"
    if run.get("lastAt") not in (None, run.get("firstAt")):
        times += f" to {_time(run['lastAt'])[11:]}"
    return f"{times}  {run['runs']} x {_outcome(run)}"


def _changes(transitions: Sequence[dict[str, Any]]) -> list[str]:
    if not transitions:
        return ["  none"]
    rows = [
        (
            f"  {_time(each['at'])}",
            _clean(each["field"]),
            f"{_clean(each['before']) or '-'} -> {_clean(each['after']) or '-'}",
            f"by {_clean(each['cause'])}" if each["cause"] else "",
        )
        for each in transitions[-_MOST_LINES:]
    ]
    return table(rows[0], rows[1:])


def _agent(agent: dict[str, Any]) -> str:
    parts = [agent["state"]]
    if "version" in agent:
        parts.append(f"version {_clean(agent['version'])}")
    if "silentSeconds" in agent:
        parts.append(f"last report {agent['silentSeconds']} s ago")
    if agent.get("probesRevision") not in (None, agent.get("wantedProbesRevision")):
        parts.append("with an old probe list, which its next report replaces")
    return ", ".join(parts)


def _labelled(label: str, lines: Iterable[str]) -> list[str]:
    """Return lines under a label, which stands in front of the first."""
    heads = chain([label], repeat(""))
    return [f"  {head:{_LABEL_WIDTH}}{line}" for head, line in zip(heads, lines, strict=False)]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {_clean(name) or 'unset'}" for name, count in counts.items()) or "-"


def _time(text: str) -> str:
    """Return a time of the wire for people, in UTC and whole seconds."""
    return text[:19].replace("T", " ")


def _clean(text: str) -> str:
    return "".join(each if each.isprintable() else "�" for each in text)
