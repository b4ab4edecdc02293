"""An autoscaler's decision as the status API tells of it, as text for a person. Pure."""

from __future__ import annotations

from typing import Any

from cli.explain_text import table

_COLUMNS = ("SERVER", "CLASS", "GOES", "WHY")
# Servers that are shown; JSON has them all.
_MOST_SERVERS = 50


def render_autoscaler(body: dict[str, Any]) -> str:
    """Return what `/v1/autoscalers/NAMESPACE/NAME` tells: a decision, or why there is none."""
    name = f"{body['namespace']}/{body['name']}"
    obstacles = [_line("not acting", f"{o['reason']}: {o['message']}") for o in body["obstacles"]]
    if "census" not in body:
        return "\n".join([f"{name}  decides nothing", *obstacles])
    head = f"{name}  scales {body['set']}: {body['text']}"
    return "\n".join([head, *obstacles, *_decision(body), "", *_servers(body["servers"])])


def _decision(body: dict[str, Any]) -> list[str]:
    census, growth, removal = body["census"], body["growth"], body["removal"]
    lines = [
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
    return lines + [
        _line("limit", f"{each['reason']}: {each['meaning']}") for each in body["limits"]
    ]


def _servers(servers: list[dict[str, Any]]) -> list[str]:
    rows = [
        (each["name"], each["class"], "yes" if each["victim"] else "", each["why"])
        for each in servers[:_MOST_SERVERS]
    ]
    more = len(servers) - _MOST_SERVERS
    return [*table(_COLUMNS, rows), *([f"and {more} more"] if more > 0 else [])]


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
