"""What must be true when all is quiet: exactly the servers that the set asks for, and no rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aggregator.kube.resources import AUTOSCALERS, GAMESERVERS, GAMESERVERSETS, PODS
from tests.simulation import rules, supply
from tests.simulation.agents import has_agent
from tests.simulation.server import FOLLOWED, SET_KEY
from tests.simulation.violation import Violation

if TYPE_CHECKING:
    from tests.simulation.agents import Agents
    from tests.simulation.records import Records
    from tests.simulation.rules import Game, Json, State
    from tests.simulation.server import Server


def check_end(server: Server, agents: Agents, records: Records) -> None:
    """Check the end of a schedule.

    Raises:
        Violation: something is missing, too much, or left.
    """
    state: State = {resource.plural: server.all(resource) for resource in FOLLOWED}
    owner = server.find(GAMESERVERSETS, SET_KEY.name)
    assert owner is not None
    games = rules.games_of(state, owner)
    _check_servers(state, owner, games, records)
    _check_objects(state, owner, games)
    _check_verdicts(state, agents)
    scaler = server.find(AUTOSCALERS, SET_KEY.name)
    if scaler is not None and supply.is_active(scaler) and not _conflicts(scaler):
        _check_supply(state, scaler)


def _check_servers(state: State, owner: Json, games: list[Game], records: Records) -> None:
    replicas = owner["spec"]["replicas"]
    # Whom the set protects may be one too many, and of an older template.
    spared = [game for game in games if rules.protects(owner) and game.ops_state == "Allocated"]
    _demand(len(games) == len(rules.wanted(state)), f"not wanted: {games}")
    _demand(len(games) == max(replicas, len(spared)), f"{replicas} of {games}")
    _demand(all(game.available for game in games), f"not available: {games}")
    template = rules.template_of(owner)
    outdated = [
        game for game in games if records.containers(game) != template and game not in spared
    ]
    _demand(not outdated, f"outdated: {outdated}")


def _check_objects(state: State, owner: Json, games: list[Game]) -> None:
    pods = {name: pod["metadata"]["uid"] for name, pod in state[PODS.plural].items()}
    servers = state[GAMESERVERS.plural]
    strange = pods.keys() - {f"{SET_KEY.name}-{game.id}" for game in games}
    _demand(not strange, f"pods that are not the set's: {strange}")
    bound = {name: servers[name]["status"]["podUid"] for name in pods if name in servers}
    _demand(bound == pods, f"servers {bound} for pods {pods}")
    _demand(servers.keys() == pods.keys(), f"servers without a pod: {servers.keys()}")
    status = owner["status"]
    counted = tuple(status[name] for name in ("replicas", "currentReplicas", "readyReplicas"))
    expected = (owner["spec"]["replicas"], len(games), len(games))
    _demand(counted == expected, f"status {counted}, {len(games)} servers")
    _demand(not rules.accounted_uids(owner), "uids of pods that are gone are still remembered")


def _check_verdicts(state: State, agents: Agents) -> None:
    """Check that what each agent says last was acted on."""
    for name, pod in state[PODS.plural].items():
        if not has_agent(pod):
            continue
        uid = pod["metadata"]["uid"]
        records = rules.recorded(state[GAMESERVERS.plural][name], uid)
        recorded = {quality: each["status"] for quality, each in records.items()}
        _demand(recorded == agents.verdicts[uid], f"{name}: {recorded}, {agents.verdicts[uid]}")


def _check_supply(state: State, scaler: Json) -> None:
    """Check that there are enough idle servers, and not too many."""
    spec, there = scaler["spec"], len(supply.idle(state))
    full = supply.expected(state) >= spec["maxReplicas"]
    _demand(full or there >= spec["minAvailable"], f"{there} idle servers: {spec}")
    most = spec.get("maxAvailable")
    few = supply.expected(state) <= spec["minReplicas"]
    _demand(few or most is None or there <= most, f"{there} idle servers: {spec}")


def _conflicts(scaler: Json) -> bool:
    conditions: list[Any] = (scaler.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Conflict" and each["status"] == "True" for each in conditions)


def _demand(holds: bool, why: str) -> None:
    if not holds:
        raise Violation(f"at the end: {why}")
