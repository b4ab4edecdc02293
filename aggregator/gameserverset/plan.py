"""What to do for a set, whole: scale, replace, update, adopt, and its status. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aggregator.gameserverset.accounting import parse_accounted
from aggregator.gameserverset.adoption import Adoption, plan_adoptions
from aggregator.gameserverset.annotations import annotation_problems, is_on, parse_update_states
from aggregator.gameserverset.conditions import Situation, plan_conditions
from aggregator.gameserverset.facts import Facts, read_facts, resolve
from aggregator.gameserverset.failures import Failure, Replacements, plan_replacements
from aggregator.gameserverset.inplace import Change, plan_change, template_images
from aggregator.gameserverset.namesakes import Namesakes
from aggregator.gameserverset.pod import wants_agent
from aggregator.gameserverset.roster import RollCall, Roster
from aggregator.gameserverset.scale import ScalePlan, ScaleRules, plan_scale
from aggregator.gameserverset.status import plan_status
from aggregator.gameserverset.update import UpdatePlan, UpdateRules, plan_updates
from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aggregator.gameserverset.revision import Template
    from aggregator.gameserverset.server import Server
    from aggregator.gameserverset.update import Halt
    from aggregator.pods import Pod
    from shared.api.gameserver import GameServer
    from shared.api.gameserverset import GameServerSet, GameServerSetStatus

# A log line has room for a few of each kind.
_DESCRIBED = 10


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known about one set.

    Attributes:
        facts: what its spec means.
        present: its servers, terminating ones included.
        now: the time.
        namesakes: pods with names of the set that it does not control.
        failures: what is remembered of pods that ended, by id.
        templates: by revision, as far as they are known; None when they cannot be read.
        refusal: why the API server refused the last pods; empty when it did not.
        returning: ids whose servers are to come back.
    """

    owner: GameServerSet
    facts: Facts
    present: RollCall
    now: datetime
    namesakes: Namesakes = field(default_factory=Namesakes)
    failures: Mapping[int, Failure] = field(default_factory=dict)
    templates: Mapping[str, Template] | None = None
    refusal: str = ""
    returning: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one set.

    Attributes:
        scale: which servers to claim, delete and create.
        replacements: which pods that ended to delete.
        updates: which pods to patch and recreate.
        adoptions: orphans that the set shall control, with their revisions.
        former_revision: of the template of some creations; empty when all get the present one.
        former_ids: those creations.
        forgotten: accounted uids whose pods are gone: not to be remembered any longer.
        recalled: accounted uids whose scale-down was taken back: to be forgotten before anything
            else, or their next one would not be counted.
        complete: every server that should exist does, so that none is to come back.
        status: to be written if it is not the one that was observed.
        requeue_after: until something is due that no event announces.
    """

    scale: ScalePlan
    replacements: Replacements
    updates: UpdatePlan
    status: GameServerSetStatus
    adoptions: tuple[Adoption, ...] = ()
    former_revision: str = ""
    former_ids: frozenset[int] = frozenset()
    forgotten: tuple[str, ...] = ()
    recalled: tuple[Server, ...] = ()
    complete: bool = False
    requeue_after: timedelta | None = None

    def describe(self) -> tuple[str, ...]:
        """Return what the plan does in a few words, for the log line of the run."""
        words = [f"adopt {each.pod.metadata.name}" for each in self.adoptions[:_DESCRIBED]]
        words += [f"replace {server.id}" for server in self.replacements.due[:_DESCRIBED]]
        words += [
            f"{type(step).__name__} {step.server.id}" for step in self.updates.steps[:_DESCRIBED]
        ]
        return (*self.scale.describe(), *words)


def observe(
    owner: GameServerSet,
    pairs: Iterable[tuple[Pod, GameServer | None]],
    now: datetime,
    **known: Any,
) -> Observed:
    """Return an observation that is made afresh, without anything remembered.

    Args:
        owner: the set.
        pairs: the pods that it controls, each with the GameServer of its name.
        now: the time.
        known: other fields of `Observed`.
    """
    return Observed(owner, read_facts(owner), Roster().call(owner, pairs, now), now, **known)


def plan(observed: Observed) -> Plan:
    """Return what to do for one set."""
    owner, facts = observed.owner, observed.facts
    annotations = owner.metadata.annotations
    paused = is_on(annotations, names.PAUSED_ANNOTATION)
    accounted = parse_accounted(annotations)
    servers = observed.present.servers
    scale = plan_scale(
        servers, owner.spec.replicas, facts.reserved, _scale_rules(observed, accounted)
    )
    replicas = scale.accounting.replicas if scale.accounting else owner.spec.replicas
    wanted = _staying(servers, scale)
    replacements = plan_replacements(wanted, observed.failures, observed.now)
    updates = plan_updates(
        [server for server in wanted if not server.finished],
        replicas,
        _update_rules(observed, wanted),
        observed.now,
    )
    situation = Situation(
        set_name=owner.metadata.name,
        replicas=replicas,
        wanted=wanted,
        scale=scale,
        updates=updates,
        crashing=[server.id for server in replacements.waiting],
        refusal=observed.refusal,
        needs_agent=wants_agent(owner) and bool(owner.spec.service_qualities),
        paused=paused,
        annotation_problems=annotation_problems(
            annotations, {server.written_ops_state for server in servers}
        ),
    )
    conditions = plan_conditions(facts, bool(owner.spec.service_qualities), situation)
    status = plan_status(owner, servers, facts.revision, conditions, observed.now)
    if paused:
        return Plan(ScalePlan(), Replacements(observed.failures), UpdatePlan(), status)
    present = {server.pod_uid: server for server in servers} if accounted else {}
    former = _former_ids(observed, wanted, scale)
    return Plan(
        scale,
        replacements,
        updates,
        status,
        adoptions=plan_adoptions(observed.namesakes.orphans, observed.templates, facts.revision),
        former_revision=owner.status.current_revision if former else "",
        former_ids=former,
        forgotten=tuple(uid for uid in accounted if uid not in present),
        recalled=tuple(
            present[uid] for uid in accounted if uid in present and _is_free(present[uid])
        ),
        complete=len(wanted) >= replicas,
        requeue_after=_next_due(observed, replacements, updates),
    )


def _staying(servers: Sequence[Server], scale: ScalePlan) -> list[Server]:
    """Return the servers that are wanted and stay wanted."""
    going = {claim.server.pod_uid for claim in scale.claims}
    return [
        server
        for server in servers
        if not server.terminating and server.claimed is None and server.pod_uid not in going
    ]


def _is_free(server: Server) -> bool:
    return server.claimed is None and not server.terminating


def _scale_rules(observed: Observed, accounted: tuple[str, ...]) -> ScaleRules:
    owner, strategy = observed.owner, observed.owner.spec.scale_strategy
    most = strategy.max_unavailable
    return ScaleRules(
        strategy=strategy.scale_down_strategy_type,
        accounted=frozenset(accounted),
        protects_allocated=_protects(owner),
        max_unavailable=None
        if most is None
        else max(1, resolve(most, owner.spec.replicas, round_up=False)),
        former=observed.namesakes.waited_for,
        taken=observed.namesakes.taken,
        returning=observed.returning,
    )


def _update_rules(observed: Observed, wanted: Sequence[Server]) -> UpdateRules:
    owner, facts = observed.owner, observed.facts
    rolling = owner.spec.update_strategy.rolling_update
    revisions = {server.revision for server in wanted}
    return UpdateRules(
        revision=facts.revision,
        halt=_halt(observed),
        partition=resolve(rolling.partition, owner.spec.replicas, round_up=True),
        max_unavailable=resolve(rolling.max_unavailable, owner.spec.replicas, round_up=False),
        policy=rolling.pod_update_policy,
        grace=timedelta(seconds=rolling.in_place_update_strategy.grace_period_seconds),
        ops_states=parse_update_states(owner.metadata.annotations),
        protects_allocated=_protects(owner),
        changes=_changes(observed, revisions - {facts.revision}),
        images={
            revision: template_images(template)
            for revision, template in (observed.templates or {}).items()
            if revision in revisions or revision == facts.revision
        },
    )


def _halt(observed: Observed) -> Halt | None:
    strategy = observed.owner.spec.update_strategy
    if strategy.type == "OnDelete":
        return "OnDelete"
    if strategy.rolling_update.paused:
        return "UpdatePaused"
    # Without the templates a patch in place would be taken for impossible: wait for them.
    return "TemplatesUnknown" if observed.templates is None else None


def _changes(observed: Observed, outdated: Iterable[str]) -> dict[str, Change | None]:
    """Return, by outdated revision, how its pods become those of the present template."""
    templates = observed.templates or {}
    present = templates.get(observed.facts.revision)
    if present is None:
        return {}
    return {
        revision: plan_change(templates[revision], present)
        for revision in outdated
        if revision in templates
    }


def _protects(owner: GameServerSet) -> bool:
    return is_on(owner.metadata.annotations, names.PROTECT_ANNOTATION)


def _former_ids(observed: Observed, wanted: Sequence[Server], scale: ScalePlan) -> frozenset[int]:
    """Return the ids to create from the former template: a partition leaves so many of them.

    Servers that a partition leaves behind stay behind when their pods are made again.
    """
    owner, revision = observed.owner, observed.facts.revision
    former = owner.status.current_revision
    rolling = owner.spec.update_strategy.rolling_update
    if not scale.creations or former in ("", revision) or former not in (observed.templates or {}):
        return frozenset()
    partition = resolve(rolling.partition, owner.spec.replicas, round_up=True)
    room = partition - sum(server.revision != revision for server in wanted)
    return frozenset(scale.creations[: max(0, room)])


def _next_due(
    observed: Observed, replacements: Replacements, updates: UpdatePlan
) -> timedelta | None:
    waits = [replacements.requeue_after, updates.requeue_after]
    if observed.present.next_available is not None:
        waits.append(observed.present.next_available - observed.now)
    return min((wait for wait in waits if wait is not None), default=None)
