"""An autoscaler's decision as the status API tells of it, as text for a person. Pure."""

from __future__ import annotations

from typing import Any

from cli.explain_text import table

_COLUMNS = ("SERVER", "CLASS", "GOES", "WHY")
# Servers that are shown; JSON has them all.
_MOST_SERVERS = 50


def render_autoscaler(body: dict[str, Any]) -> str:
    """Return a decision of `/v1/autoscalers/NAMESPACE/NAME`."""
    census, growth, removal = body["census"], body["growth"], body["removal"]
    acts = "" if body["acts"] else " (not carried out; `kubectl describe gssa` says why)"
    lines = [
        f"{body['namespace']}/{body['name']}  scales {body['set']}: {body['text']}{acts}",
        _line("decided", f"{body['at']}, again at {body['wakeAt']} or when something changes"),
        _line("policy", _policy(body["policy"], body["openSchedules"])),
        _line(
            "servers",
            f"replicas {census['spec']} - {census['spec'] - census['expected']} going by "
            f"themselves = {census['expected']} expected, {census['present']} there, "
            f"{census['missing']} missing",
        ),
        _line(
            "supply",
            f"{census['ready']} ready + {census['booting']} booting + {census['missing']} missing "
            f"= {census['idle']} idle",
        ),
        _line(
            "others",
            f"{census['inUse']} in use, {census['ripe']} marked and ripe, {census['dwelling']} "
            f"marked and waiting, {census['leaving']} leaving",
        ),
        _line(
            "growth",
            f"deficit {growth['deficit']}, in its window {growth['stabilized']}, rate "
            f"{growth['rate']}, room below maxReplicas {growth['room']}, to minReplicas "
            f"{growth['forced']}: add {growth['add']}",
        ),
        _line(
            "removal",
            f"excess {removal['excess']}, in its window {removal['stabilized']}, wanted "
            f"{removal['wanted']}, rate {removal['rate']}, room above minReplicas "
            f"{removal['room']}: cancel {removal['cancel']}, remove {len(removal['victims'])}",
        ),
    ]
    lines += [_line("limit", f"{each['reason']}: {each['meaning']}") for each in body["limits"]]
    servers = body["servers"]
    rows = [
        (each["name"], each["class"], "yes" if each["victim"] else "", each["why"])
        for each in servers[:_MOST_SERVERS]
    ]
    lines += ["", *table(_COLUMNS, rows)]
    if len(servers) > _MOST_SERVERS:
        lines.append(f"and {len(servers) - _MOST_SERVERS} more")
    return "\n".join(lines)


def _line(label: str, text: str) -> str:
    return f"  {label:<11}{text}"


def _policy(policy: dict[str, Any], schedules: list[str]) -> str:
    told = [
        f"{name} {' or '.join(value) if isinstance(value, list) else value}"
        for name, value in policy.items()
        if value is not None
    ]
    if schedules:
        told.append(f"in the schedules {', '.join(schedules)}")
    return ", ".join(told)
