"""Plays one schedule: everything that happens, in an order that a seed decides.

First chaos: aggregators reconcile, watches lag, requests fail or get lost, people, agents, nodes
and kubelets act, processes die or stand still for longer than their lease, and a second one leads
beside the first for a while. Then calm: nothing fails any more and everybody catches up. In the end
exactly the servers must be there that the set asks for, and nobody may have anything left to write.

Time is virtual and moves only where the schedule moves it. The same seed plays the same schedule.
"""

from __future__ import annotations

from bisect import bisect
from datetime import timedelta
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from aggregator.kube.errors import Conflict, Throttled, Unavailable
from aggregator.kube.resources import PODS
from tests.simulation.agents import Agents
from tests.simulation.ending import check_end
from tests.simulation.manifests import Traits
from tests.simulation.network import Network
from tests.simulation.nodes import Nodes
from tests.simulation.owners import Owners
from tests.simulation.people import People
from tests.simulation.process import LEASE_SECONDS, SETS, Process
from tests.simulation.referee import Referee
from tests.simulation.server import FOLLOWED, Server
from tests.simulation.violation import Violation
from tests.simulation.virtual_loop import VirtualLoop
from tests.support.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.network import Request
    from tests.support.world import Clock

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


class Schedule:
    """One schedule of one seed."""

    def __init__(
        self, seed: int, clock: Clock, traits: tuple[str, ...] = (), *, tells: bool = False
    ) -> None:
        self.random = random = Random(seed)
        self.story: list[str] = []
        self._tells = tells
        self.clock = clock
        self.loop = VirtualLoop(clock)
        self.server = Server(lambda: NOW + timedelta(seconds=clock.seconds))
        self.network = Network(self.server)
        self.traits = Traits.draw(random, traits)
        self.people = People(random, self.server)
        self.owners = Owners(random, self.server, self.traits)
        self.nodes = Nodes(random, self.server)
        self.agents = Agents(random, self.server)
        self.referee = Referee(self.server, clock)
        self.processes: list[Process] = []
        self._born = 0
        self._shown_at = clock.seconds
        # How often each comes, where it can come at all.
        self._actions: tuple[tuple[float, Callable[[], None], Callable[[], Any]], ...] = (
            (8.0, self._reconcile, lambda: any(each.is_ready for each in self._working())),
            (14.0, self._arrive, lambda: self.network.arrivable),
            (8.0, self._deliver, lambda: self.network.deliverable),
            (7.0, self._watch, self._has_unshown),
            (0.4, self._list_again, _always),
            (6.0, self._kubelet, _always),
            (4.0, self._people, _always),
            (3.0, self._collect_garbage, _always),
            (2.0, self._let_time_pass, _always),
            (0.25, self._crash, _always),
            (0.2, self._lead_beside, lambda: len(self.processes) == 1),
            *((weight, act, _always) for weight, act, occurs in self._optional() if occurs),
        )
        self._bounds = tuple(accumulate(weight for weight, _, _ in self._actions))

    def _optional(self) -> tuple[tuple[float, Callable[[], None], bool], ...]:
        traits = self.traits
        return (
            (3.0, self._agents, traits.qualities),
            (0.8, self._owners, self.owners.are_busy),
            (0.5, self._lose_node, traits.loses_nodes),
            (0.5, self._pause_or_wake, traits.pauses),
        )

    def play(self) -> None:
        """Play to the end.

        Raises:
            Violation: an invariant does not hold.
        """
        with self.loop:
            try:
                self._play()
            finally:
                for process in self.processes:
                    process.kill()
                self.loop.run_ready()

    def _play(self) -> None:
        self.owners.begin()
        self._lead()
        for _ in range(self.random.choice(_ROUNDS_BEFORE)):
            self._do_all()
            self._go_on(1.0)
        for _ in range(STEPS):
            self._act()
        self._calm_down()

    def _tell(self, line: object) -> None:
        if self._tells:
            self.story.append(f"{self.clock.seconds:8.1f} {line}")

    # -- chaos ----------------------------------------------------------------------------------

    def _act(self) -> None:
        """Do one thing that can be done: whatever cannot is drawn in vain."""
        is_possible = None
        while is_possible is None or not is_possible():
            _, act, is_possible = self._actions[
                bisect(self._bounds, self.random.random() * self._bounds[-1])
            ]
        act()

    def _has_unshown(self) -> bool:
        return any(each.is_behind(resource) for each in self._working() for resource in FOLLOWED)

    def _working(self) -> list[Process]:
        return [each for each in self.processes if not each.paused]

    def _living(self) -> Process:
        return self.random.choice(self._working())

    def _lead(self) -> None:
        self._born += 1
        process = Process(f"p{self._born}", self.server, self.network, self.loop, self.random)
        self.processes.append(process)
        self._tell(f"{process.name} leads")

    def _reconcile(self) -> None:
        process = self._living()
        ready = process.ready()
        if ready:
            sets = [each for each in ready if each[0] == SETS]
            # Sets are what it is about.
            first = sets and self.random.random() < _SETS_FIRST
            kind, key = self.random.choice(sets if first else ready)
            self._tell(f"{process.start(kind, key)} reconciles {kind} {key}")
            self._run()

    def _run(self) -> None:
        self.loop.run_ready()
        if any(process.bugs() for process in self.processes):
            raise Violation("a reconciler failed by a bug: see the log")
        if self.loop.complaints:
            raise Violation(f"a task ended with {self.loop.complaints}")

    def _arrive(self) -> None:
        request = self.random.choice(self.network.arrivable)
        chance = self.random.random()
        if chance < 0.05:
            self._refuse(request)
            return
        if request.is_write and chance < 0.15:
            self.people.interfere(request.resource.plural, request.name)
            self._tell(f"somebody changes {request.resource.plural} {request.name} before")
        self._let_arrive(request)
        if request.is_write and chance > 0.95 and request.error is None:
            self._lose_answer(request)
        if request in self.network.answered and self.random.random() < _ANSWERED_AT_ONCE:
            self.network.deliver(request)
            self._run()

    def _lose_answer(self, request: Request) -> None:
        if request.verb == "delete" and self.random.random() < 0.5:
            self._tell("its answer is lost: the client sends it again")
            self.network.repeat(request)
            return
        self._tell("its answer is lost")
        request.error = Unavailable("ServerTimeout", "no answer", outcome_unknown=True)

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
        self.network.deliver(self.random.choice(self.network.deliverable))
        self._run()

    def _watch(self) -> None:
        process, resource = self._living(), self.random.choice(FOLLOWED)
        process.watch(resource, self.random.choice((1, 1, 2, 5, 50)))

    def _list_again(self) -> None:
        """Begin a watch anew, from a list that was made now, or a while ago and took so long."""
        process, resource = self._living(), self.random.choice(FOLLOWED)
        version = self.server.store.version
        if self.random.random() < 0.5:
            version = self.random.randint(process.positions[resource.plural], version)
        self._tell(f"{process.name} lists {resource.plural} of {version}")
        process.list_again(resource, version)

    def _kubelet(self) -> None:
        self._tell(f"kubelet: {self.nodes.act()}")

    def _lose_node(self) -> None:
        self._tell(f"nodes: {self.nodes.lose_or_find()}")

    def _people(self) -> None:
        self._tell(f"people: {self.people.act()}")

    def _owners(self) -> None:
        self._tell(f"owners: {self.owners.act()}")

    def _agents(self) -> None:
        self._tell(f"agents: {self.agents.act(self._living())}")

    def _collect_garbage(self) -> None:
        self.server.controllers.drain()

    def _let_time_pass(self) -> None:
        self._go_on(self.random.choice((0.1, 1.0, 1.0, 5.0, 30.0)))
        if self.clock.seconds - self._shown_at > _MOST_LAG_SECONDS:
            self._show_all()

    def _go_on(self, seconds: float) -> None:
        """Let time pass; whoever leads and does not stand still keeps its lease."""
        self.clock.seconds += seconds
        for process in self.processes:
            if not (process.paused or process.deposed):
                process.renew()
        self._run()

    def _show_all(self) -> None:
        self._shown_at = self.clock.seconds
        for process in self._working():
            for resource in FOLLOWED:
                process.watch(resource)

    # -- leaders come and go --------------------------------------------------------------------

    def _crash(self) -> None:
        self._end(self._living())
        if not self._leaders():
            self._lead()

    def _leaders(self) -> list[Process]:
        return [each for each in self.processes if not each.deposed]

    def _end(self, process: Process) -> None:
        self._tell(f"{process.name} dies")
        process.kill()
        self._run()
        self.processes.remove(process)
        # What it has sent may still arrive, or be lost.
        process.paused = False
        for request in list(self.network.sent):
            if request.run.process is process and self.random.random() < 0.5:
                self.network.sent.remove(request)

    def _lead_beside(self) -> None:
        self._lead()

    def _pause_or_wake(self) -> None:
        """Let a leader stand still until another leads, or go on and find itself deposed."""
        deposed = [each for each in self.processes if each.deposed]
        if not deposed:
            process = self._living()
            process.paused = process.deposed = True
            self._tell(f"{process.name} stands still")
            self._go_on(LEASE_SECONDS + 1.0)
            self._lead()
        elif deposed[0].paused:
            deposed[0].paused = False
            self._tell(f"{deposed[0].name} goes on")
        else:
            self._end(deposed[0])

    # -- calm -----------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        self._tell("calm")
        last = self._leaders()[-1]
        for process in [each for each in self.processes if each is not last]:
            self._end(process)
        self.people.lift()
        self.nodes.find_all()
        quiet_since = self.clock.seconds
        for _ in range(_CALM_ROUNDS):
            version = self.server.store.version
            self.owners.bring_back()
            self.people.let_all_go()
            self._do_all()
            if self.server.store.version != version:
                quiet_since = self.clock.seconds
                self._go_on(0.5)
                continue
            quiet = self.clock.seconds - quiet_since
            due = self.loop.next_timer()
            if quiet > _QUIET_SECONDS or (due is None and not self.processes[0].is_ready):
                check_end(self.server, self.agents, self.referee.records)
                self.referee.check_end()
                return
            # Whoever looks again and again finds the same: the pauses may become longer.
            wait = (due or self.clock.seconds) - self.clock.seconds
            self._go_on(max(0.1, wait, quiet / 2))
        raise Violation(f"no end after {_CALM_ROUNDS} rounds")

    def _do_all(self) -> None:
        """Let everybody do what is to be done now."""
        for name in sorted(self.server.all(PODS)):
            self.nodes.bring_on(name)
        self.server.controllers.drain()
        self._show_all()
        for process in self.processes:
            self.agents.tell_all(process)
            for kind, key in process.ready():
                process.start(kind, key)
        self._run()
        while self.network.sent or self.network.answered:
            for request in list(self.network.sent):
                self._let_arrive(request)
            for request in list(self.network.answered):
                self.network.deliver(request)
            self._run()


def _always() -> bool:
    return True
