"""Plays one schedule: everything that happens, in an order that a seed decides.

First chaos: aggregators reconcile, watches lag, requests fail or get lost, people and kubelets act,
processes die, and a second one leads beside the first for a while. Then calm: nothing fails any
more and everybody catches up. In the end exactly the servers must be there that the set asks for,
and nobody may have anything left to write.

Time is virtual and moves only where the schedule moves it. The same seed plays the same schedule.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch as replaced
from uuid import UUID

from aggregator.kube.errors import Conflict, Throttled, Unavailable
from aggregator.kube.resources import GAMESERVERS, GAMESERVERSETS, PODS
from shared.api import names
from tests.simulation import rules
from tests.simulation.network import Network
from tests.simulation.people import Kubelet, People, first_set
from tests.simulation.process import Process
from tests.simulation.referee import Referee, Violation
from tests.simulation.server import FOLLOWED, NAMESPACE, SET_KEY, Server
from tests.support.builders import NOW
from tests.support.world import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.network import Request

STEPS = 450
# A watch may lag, but not for ever: own writes that are never shown are given up after 300 s.
_MOST_LAG_SECONDS = 120.0
# Half of the schedules begin with a set that is complete.
_ROUNDS_BEFORE = (0, 12)
_SETS_FIRST = 0.3
_ANSWERED_AT_ONCE = 0.6
_CALM_ROUNDS = 400
# Longer than any pause that somebody makes: 300 s between pods that end again and again.
_QUIET_SECONDS = 700.0
_TURNS = 4


@dataclass
class Played:
    """What came out.

    Attributes:
        story: what happened, a line each.
        verdicts: number of judged writes, by what they were about.
    """

    seed: int
    story: list[str]
    verdicts: dict[str, int]
    failure: str = ""


class Schedule:
    """One schedule of one seed."""

    def __init__(self, seed: int, *, tells: bool = False) -> None:
        self.random = Random(seed)
        self.story: list[str] = []
        self._tells = tells
        self.clock = Clock()
        self.server = Server(lambda: NOW + timedelta(seconds=self.clock.seconds))
        self.network = Network(self.server)
        self.referee = Referee(self.server)
        self.people = People(self.random, self.server)
        self.kubelet = Kubelet(self.random, self.server)
        self.processes: list[Process] = []
        self._born = 0
        # Whether a task has something to go on with.
        self._stirred = False
        self._shown_at = self.clock.seconds
        # How often each comes, where it can come at all.
        self._actions: tuple[tuple[float, Callable[[], None], Callable[[], Any]], ...] = (
            (8.0, self._reconcile, lambda: any(each.ready() for each in self.processes)),
            (14.0, self._arrive, lambda: self.network.sent),
            (8.0, self._deliver, lambda: self.network.answered),
            (7.0, self._watch, self._has_unshown),
            (0.4, self._list_again, _always),
            (6.0, self._kubelet, _always),
            (4.0, self._people, _always),
            (3.0, self._collect_garbage, _always),
            (2.0, self._let_time_pass, _always),
            (0.25, self._crash, _always),
            (0.2, self._lead_beside, lambda: len(self.processes) == 1),
        )

    async def play(self) -> None:
        """Play to the end.

        Raises:
            Violation: an invariant does not hold.
        """
        self.server.create_as_user(
            names.GROUP, names.GAMESERVERSETS, NAMESPACE, first_set(self.random)
        )
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._lead()
            for _ in range(self.random.choice(_ROUNDS_BEFORE)):
                await self._do_all()
                self.clock.seconds += 1.0
            for _ in range(STEPS):
                self._act()
                if self._stirred:
                    self._stirred = False
                    await _turns()
            await self._calm_down()
            for process in self.processes:
                process.kill()

    def _tell(self, line: object) -> None:
        if self._tells:
            self.story.append(f"{self.clock.seconds:8.1f} {line}")

    # -- chaos ----------------------------------------------------------------------------------

    def _act(self) -> None:
        possible = [(weight, act) for weight, act, is_possible in self._actions if is_possible()]
        weights = [weight for weight, _ in possible]
        (chosen,) = self.random.choices([act for _, act in possible], weights)
        chosen()

    def _has_unshown(self) -> bool:
        return any(each.behind(resource) for each in self.processes for resource in FOLLOWED)

    def _lead(self) -> None:
        self._born += 1
        process = Process(f"p{self._born}", self.server, self.network, self.clock)
        self.processes.append(process)
        self._tell(f"{process.name} leads")

    def _living(self) -> Process:
        return self.random.choice(self.processes)

    def _reconcile(self) -> None:
        process = self._living()
        ready = sorted(process.ready())
        if ready:
            # Sets last in this order: they are what it is about.
            what = ready[-1] if self.random.random() < _SETS_FIRST else self.random.choice(ready)
            self._stirred = True
            self._tell(f"{process.start(what, self._group)} reconciles {what[0]} {what[1]}")

    def _arrive(self) -> None:
        request = self.random.choice(self.network.sent)
        chance = self.random.random()
        if chance < 0.05:
            self._refuse(request)
            return
        if request.is_write and chance < 0.15:
            self.people.interfere(request.resource.plural, request.name)
            self._tell(f"somebody changes {request.resource.plural} {request.name} before")
        self._let_arrive(request)
        if request.is_write and chance > 0.95 and request.error is None:
            self._tell("its answer is lost")
            request.error = Unavailable("ServerTimeout", "no answer", outcome_unknown=True)
        if self.random.random() < _ANSWERED_AT_ONCE:
            self._stirred = True
            self.network.deliver(request)

    def _let_arrive(self, request: Request) -> None:
        self._tell(request)
        self.network.arrive(request)
        if request.error is not None:
            self._tell(f"  {type(request.error).__name__}: {request.error}")
        self.referee.judge(request)

    def _refuse(self, request: Request) -> None:
        errors = [
            Throttled("TooManyRequests", "later", 1.0),
            Unavailable("InternalError", "no", outcome_unknown=True),
        ]
        if request.is_write:
            errors.append(Conflict("Conflict", "the object has been modified"))
        error = self.random.choice(errors)
        self._tell(f"{request} is refused: {type(error).__name__}")
        self.network.refuse(request, error)

    def _deliver(self) -> None:
        self._stirred = True
        self.network.deliver(self.random.choice(self.network.answered))

    def _watch(self) -> None:
        process, resource = self._living(), self.random.choice(FOLLOWED)
        process.watch(resource, self.random.choice((1, 1, 2, 5, 50)))

    def _list_again(self) -> None:
        process, resource = self._living(), self.random.choice(FOLLOWED)
        self._tell(f"{process.name} lists {resource.plural} again")
        process.list_again(resource)

    def _kubelet(self) -> None:
        self._tell(f"kubelet: {self.kubelet.act()}")

    def _people(self) -> None:
        self._tell(f"people: {self.people.act()}")

    def _collect_garbage(self) -> None:
        self.server.controllers.drain()

    def _let_time_pass(self) -> None:
        self.clock.seconds += self.random.choice((0.1, 1.0, 1.0, 5.0, 30.0))
        if self.clock.seconds - self._shown_at > _MOST_LAG_SECONDS:
            self._show_all()

    def _show_all(self) -> None:
        self._shown_at = self.clock.seconds
        for process in self.processes:
            for resource in FOLLOWED:
                process.watch(resource, process.behind(resource))

    def _crash(self) -> None:
        self._end(self._living())
        if not self.processes:
            self._lead()

    def _end(self, process: Process) -> None:
        self._tell(f"{process.name} dies")
        process.kill()
        self._stirred = True
        self.processes.remove(process)
        # What it has sent may still arrive, or be lost.
        for request in list(self.network.sent):
            if request.run.process is process and self.random.random() < 0.5:
                self.network.sent.remove(request)

    def _lead_beside(self) -> None:
        self._lead()

    # -- calm -----------------------------------------------------------------------------------

    async def _calm_down(self) -> None:
        self._tell("calm")
        self.people.lift()
        for process in self.processes[:-1]:
            self._end(process)
        quiet_since = self.clock.seconds
        for _ in range(_CALM_ROUNDS):
            version = self.server.store.version
            self.people.let_all_go()
            await self._do_all()
            if self.server.store.version != version:
                quiet_since = self.clock.seconds
                self.clock.seconds += 0.5
                continue
            due = [at for process in self.processes for at in process.due.values()]
            if not due or self.clock.seconds - quiet_since > _QUIET_SECONDS:
                self._check_end()
                return
            self.clock.seconds = max(self.clock.seconds + 0.1, min(due))
        raise Violation(f"no end after {_CALM_ROUNDS} rounds")

    async def _do_all(self) -> None:
        """Let everybody do what is to be done now."""
        for name in sorted(self.server.all(PODS)):
            self.kubelet.bring_on(name)
        self.server.controllers.drain()
        self._show_all()
        for process in self.processes:
            for what in sorted(process.ready()):
                process.start(what, self._group)
        await _turns()
        while self.network.sent or self.network.answered:
            for request in list(self.network.sent):
                self._let_arrive(request)
            for request in list(self.network.answered):
                self.network.deliver(request)
            await _turns()

    def _check_end(self) -> None:
        state = {resource.plural: self.server.all(resource) for resource in FOLLOWED}
        owner = self.server.find(GAMESERVERSETS, SET_KEY.name)
        assert owner is not None
        games = rules.games_of(state, owner)
        replicas = owner["spec"]["replicas"]
        # Whom the set protects may be one too many, and of an older template.
        spared = [game for game in games if rules.protects(owner) and game.ops_state == "Allocated"]
        _demand(len(games) == len(rules.wanted(state)), f"not wanted: {games}")
        _demand(len(games) == max(replicas, len(spared)), f"{replicas} of {games}")
        _demand(all(game.available for game in games), f"not available: {games}")
        template = rules.template_of(owner)
        outdated = [game for game in games if game.containers != template and game not in spared]
        _demand(not outdated, f"outdated: {outdated}")
        pods = {name: pod["metadata"]["uid"] for name, pod in state[PODS.plural].items()}
        servers = state[GAMESERVERS.plural]
        bound = {name: servers[name]["status"]["podUid"] for name in pods if name in servers}
        _demand(bound == pods, f"servers {bound} for pods {pods}")
        _demand(servers.keys() == pods.keys(), f"servers without a pod: {servers.keys()}")
        status = owner["status"]
        counted = {name: status[name] for name in ("replicas", "currentReplicas", "readyReplicas")}
        expected = (replicas, len(games), len(games))
        _demand(tuple(counted.values()) == expected, f"status {counted}, {len(games)} servers")
        _demand(not rules.accounted_uids(owner), "uids of pods that are gone are still remembered")


def _always() -> bool:
    return True


def _demand(holds: bool, why: str) -> None:
    if not holds:
        raise Violation(f"at the end: {why}")


async def _turns() -> None:
    """Let tasks go on until each waits for an answer; a few turns of the loop are enough."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


class _Replacements:
    """What `Clock.install` needs of pytest's monkeypatch."""

    def __init__(self) -> None:
        self._active: list[replaced] = []

    def setattr(self, target: str, value: object) -> None:
        active = replaced(target, value)
        active.start()
        self._active.append(active)

    def undo(self) -> None:
        for active in self._active:
            active.stop()


def play(seed: int, *, tells: bool = False) -> Played:
    """Play the schedule of a seed."""
    schedule = Schedule(seed, tells=tells)
    uids = Random(seed)
    replacements = _Replacements()
    schedule.clock.install(replacements)
    replacements.setattr(
        "localcluster.apiserver.verbs.uuid.uuid4", lambda: UUID(int=uids.getrandbits(128))
    )
    played = Played(seed, schedule.story, schedule.referee.verdicts)
    try:
        asyncio.run(schedule.play())
    except* Violation as group:
        played.failure = str(group.exceptions[0])
    finally:
        replacements.undo()
    return played
