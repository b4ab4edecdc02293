"""Which servers get the new template, and how (SPEC 6.9). Pure.

The theory: servers of another revision than the set's are outdated. They are taken in order (those
whose update has begun, then larger updatePriority, then larger id) until only `partition` are left.
A server that is available may be disturbed only while fewer than `maxUnavailable` are not; one that
is not available anyway costs nothing, so a revision that does not start can always be replaced. How
a server is updated, if it may be:

- in place when only images and metadata differ and the policy allows it, else it is recreated;
- metadata alone restarts nothing, so it costs nothing either;
- a hook or a grace period comes first: the pod is marked, the server is PreUpdate (PreDelete before
  it is recreated) and not available, and the mark is taken back when it is no longer to be updated.

Per-server images are given at once: somebody asked for this very server.

An update that cannot go on by itself says why: what waits for a person looks like what takes long.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from aggregator.gameserverset.inplace import Change
from aggregator.gameserverset.overrides import render_images
from aggregator.pod_update import Kind, PodUpdate
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from aggregator.gameserverset.server import Server

Policy = Literal["ReCreate", "InPlaceIfPossible", "InPlaceOnly"]
# Why no server is updated now. Nobody is told of templates that cannot be read: a failed request is
# tried again.
Halt = Literal["OnDelete", "UpdatePaused", "TemplatesUnknown"]
# Why a server is not updated, whoever becomes available meanwhile; until somebody does something.
Hindrance = Literal[
    "OnDelete",
    "UpdatePaused",
    "NoneMayBeUnavailable",
    "AllocatedProtected",
    "StateLeftOut",
    "InPlaceImpossible",
]


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """What the set says about updates.

    Attributes:
        revision: that servers should have.
        halt: why nobody is updated, None when servers are.
        partition: number of servers left outdated.
        max_unavailable: servers that may be not available.
        grace: between taking a server out of service and its patch.
        ops_states: only servers in these states are updated; None for all.
        changes: by outdated revision, how its pods are patched; None where they cannot be.
        images: by revision, the images of its template.
    """

    revision: str
    halt: Halt | None = None
    partition: int = 0
    max_unavailable: int = 1
    policy: Policy = "ReCreate"
    grace: timedelta = timedelta()
    ops_states: frozenset[str] | None = None
    protects_allocated: bool = False
    changes: Mapping[str, Change | None] = field(default_factory=dict)
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """Take a server out of service before its update."""

    server: Server
    update: PodUpdate


@dataclass(frozen=True, slots=True)
class Unmark:
    """Say that nothing is being done to a pod any more."""

    server: Server


@dataclass(frozen=True, slots=True)
class PatchInPlace:
    """Patch a running pod; `revision` is the one it has afterwards."""

    server: Server
    change: Change
    revision: str


@dataclass(frozen=True, slots=True)
class ReCreate:
    """Delete a pod; its id is missing then and is created with the new template."""

    server: Server


Step = Mark | Unmark | PatchInPlace | ReCreate


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """What to do now.

    Attributes:
        steps: in order; at most one a server.
        refused: outdated servers that InPlaceOnly cannot update.
        outdated: number of servers that are to be updated sooner or later.
        requeue_after: until the next grace period ends.
        hindrances: what keeps every one of them from it, each once; empty while one may be updated,
            now or as soon as others are available.
    """

    steps: tuple[Step, ...] = ()
    refused: tuple[Server, ...] = ()
    outdated: int = 0
    requeue_after: timedelta | None = None
    hindrances: tuple[Hindrance, ...] = ()


def update_order(server: Server) -> tuple[bool, int, int]:
    """Return the sort key under which the first to be updated comes first."""
    return server.update is None, -server.update_priority, -server.id


def plan_updates(
    servers: Sequence[Server], replicas: int, rules: UpdateRules, now: datetime
) -> UpdatePlan:
    """Return the next steps of the update.

    Args:
        servers: the wanted ones whose pods have not ended.
        replicas: number of servers that should exist.
        rules: what the set says.
        now: for the grace period.
    """
    outdated = [server for server in servers if server.revision != rules.revision]
    chosen = _Chosen()
    if outdated and rules.halt is None:
        chosen = _choose(servers, outdated, replicas, rules, now)
    steps = dict(chosen.steps)
    for server in servers:
        if server.update is None and server.asked_images == server.given_images:
            continue
        if server.pod_uid in steps:
            continue
        if _is_void(server, chosen):
            steps[server.pod_uid] = Unmark(server)
        elif server.asked_images != server.given_images:
            change = _with_overrides(Change(), server, rules.images.get(server.revision))
            steps[server.pod_uid] = PatchInPlace(server, change, server.revision)
    left = max(0, len(outdated) - rules.partition)
    stands = left and not chosen.steps and not chosen.waiting
    return UpdatePlan(
        steps=tuple(steps.values()),
        refused=tuple(sorted(chosen.refused, key=lambda server: server.id)),
        outdated=left,
        requeue_after=min(chosen.waits, default=None),
        hindrances=_hindrances(outdated, rules, now) if stands else (),
    )


@dataclass(slots=True)
class _Chosen:
    """Outdated servers whose turn it is.

    Attributes:
        steps: by pod uid.
        waiting: uids of marked servers that wait for a hook or their grace period.
        waits: until grace periods end.
    """

    steps: dict[str, Step] = field(default_factory=dict)
    refused: list[Server] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)
    waits: list[timedelta] = field(default_factory=list)


def _choose(
    servers: Sequence[Server],
    outdated: Iterable[Server],
    replicas: int,
    rules: UpdateRules,
    now: datetime,
) -> _Chosen:
    chosen = _Chosen()
    candidates = sorted(outdated, key=update_order)
    left = len(candidates) - rules.partition
    unavailable = max(0, replicas - sum(server.available for server in servers))
    budget = rules.max_unavailable - unavailable
    for server in candidates:
        if left <= 0:
            break
        if _spared(server, rules):
            continue
        step = _next_step(server, rules, now)
        if step is None:
            chosen.refused.append(server)
            continue
        if server.available and _disturbs(step):
            if budget <= 0:
                continue
            budget -= 1
        left -= 1
        if isinstance(step, _Wait):
            chosen.waiting.add(server.pod_uid)
            chosen.waits += [step.remaining] if step.remaining else []
        else:
            chosen.steps[server.pod_uid] = step
    return chosen


@dataclass(frozen=True, slots=True)
class _Wait:
    """Nothing to do yet; `remaining` of the grace period, None for a hook."""

    remaining: timedelta | None = None


def _hindrances(
    outdated: Iterable[Server], rules: UpdateRules, now: datetime
) -> tuple[Hindrance, ...]:
    """Return what keeps all of these servers from being updated; nothing when one may be."""
    if rules.halt is not None:
        return () if rules.halt == "TemplatesUnknown" else (rules.halt,)
    found = set()
    for server in outdated:
        hindrance = _hindrance(server, rules, now)
        if hindrance is None:
            # In most large sets that is the first one.
            return ()
        found.add(hindrance)
    return tuple(hindrance for hindrance in get_args(Hindrance) if hindrance in found)


def _hindrance(server: Server, rules: UpdateRules, now: datetime) -> Hindrance | None:
    spared = _spared(server, rules)
    if spared is not None:
        return spared
    step = _next_step(server, rules, now)
    if step is None:
        return "InPlaceImpossible"
    stays = server.available and _disturbs(step) and not rules.max_unavailable
    return "NoneMayBeUnavailable" if stays else None


def _spared(server: Server, rules: UpdateRules) -> Hindrance | None:
    """Return why a server is not to be touched, None when it may be."""
    if rules.protects_allocated and server.ops_state == names.OPS_STATE_ALLOCATED:
        return "AllocatedProtected"
    if rules.ops_states is None or server.ops_state in rules.ops_states:
        return None
    return "StateLeftOut"


def _disturbs(step: Step | _Wait) -> bool:
    """Tell whether the server stops being available with this step."""
    return not (isinstance(step, PatchInPlace) and not step.change.images)


def _next_step(server: Server, rules: UpdateRules, now: datetime) -> Step | _Wait | None:
    """Return what to do with an outdated server; None when the policy refuses it."""
    change = rules.changes.get(server.revision)
    if rules.policy == "ReCreate" or change is None:
        if rules.policy == "InPlaceOnly":
            return None
        if not server.held:
            return ReCreate(server)
        return _mark(server, "ReCreate", rules, now) or _Wait()
    change = _with_overrides(change, server, rules.images.get(rules.revision))
    patched = PatchInPlace(server, change, rules.revision)
    if not change.images or _is_applied(server):
        return patched
    if not server.update_held and not rules.grace:
        return patched
    marked = _mark(server, "InPlace", rules, now)
    if marked is not None:
        return marked
    if server.update_held or server.update is None:
        return _Wait()
    remaining = server.update.started_at + rules.grace - now
    return _Wait(remaining) if remaining > timedelta() else patched


def _mark(server: Server, kind: Kind, rules: UpdateRules, now: datetime) -> Mark | None:
    """Return the mark of a server, None when it has it."""
    update = server.update
    if update is None or update.is_applied:
        return Mark(server, PodUpdate(kind, rules.revision, now))
    if (update.kind, update.revision) == (kind, rules.revision):
        return None
    return Mark(server, replace(update, kind=kind, revision=rules.revision))


def _is_applied(server: Server) -> bool:
    """Tell whether the pod is in the middle of a patch: it is out of service, no need to wait."""
    return server.update is not None and server.update.is_applied and not server.update_complete


def _is_void(server: Server, chosen: _Chosen) -> bool:
    """Tell whether the pod says that something is done to it, and it is not, or not any more."""
    if server.update is None or server.pod_uid in chosen.waiting:
        return False
    return server.update_complete or not server.update.is_applied


def _with_overrides(change: Change, server: Server, template: Mapping[str, str] | None) -> Change:
    """Return a change that respects and gives the images that are this server's own.

    Args:
        change: of the template.
        server: with what it asks for and was given.
        template: images of the revision that the pod has afterwards; None when it is not known.
    """
    asked, given = dict(server.asked_images), dict(server.given_images)
    images = {name: image for name, image in change.images.items() if name not in asked}
    images |= {name: image for name, image in asked.items() if given.get(name) != image}
    for name in given:
        if name not in asked and template is not None and name in template:
            images[name] = template[name]
    annotations = dict(change.annotations)
    if asked != given:
        annotations[names.IMAGES_ANNOTATION] = render_images(server.asked_images)
    return replace(change, images=images, annotations=annotations)
