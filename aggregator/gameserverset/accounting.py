"""What a deletion costs the set's spec: replicas and reserved ids (SPEC 6.5, 6.7). Pure.

A Kill, and a victim of the autoscaler, lowers `spec.replicas` with it; a scale-down and a reserved
id do not. Under ReserveIds the ids of victims go into the reserve list.

The theory: with n wanted servers and K deletions that are not accounted yet, n + K servers stand
against `replicas`. As many of the K as are more than `replicas` were going to be deleted anyway, so
they cost nothing; and never does a deletion lower `replicas` below the servers that stay. So

    replicas' = replicas - min(max(replicas - n, 0), K)

which gives the same in the end however the K are split over several writes. It is the E of the
autoscaler's evaluation: what will exist if nobody does anything.

The uid of each accounted pod is kept in an annotation that is written in the same patch, so that no
crash and no new leader accounts it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from aggregator.gameserverset.server import Server
    from shared.api.gameserver import DeletionReason

Strategy = Literal["General", "ReserveIds"]

LOWERS_REPLICAS: frozenset[DeletionReason] = frozenset({"Kill", "Autoscaler"})
# 1,000 uids have 37 kB; all annotations of an object share 256 KiB with what people write there.
MAX_ACCOUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Accounting:
    """One patch of the set's spec.

    Attributes:
        replicas: what spec.replicas becomes.
        pod_uids: of the deletions that it accounts, in the order of their ids.
        ids: that go into the reserve list, ascending.
    """

    replicas: int
    pod_uids: tuple[str, ...]
    ids: tuple[int, ...] = ()


def lowered(replicas: int, wanted: int, deletions: int) -> int:
    """Return `replicas` after that many unaccounted deletions, with `wanted` servers that stay."""
    return replicas - min(max(replicas - wanted, 0), deletions)


def needs_accounting(reason: DeletionReason | None, strategy: Strategy) -> bool:
    """Tell whether a claim with this reason changes the spec."""
    return reason in LOWERS_REPLICAS or (reason == "ScaleDown" and strategy == "ReserveIds")


def plan_accounting(
    due: Sequence[tuple[Server, DeletionReason]],
    replicas: int,
    wanted: int,
    room: int,
    strategy: Strategy,
) -> Accounting | None:
    """Return the patch for claims that are not accounted yet, None when there are none.

    Args:
        due: claimed servers and the reasons, those that this plan claims included.
        replicas: spec.replicas.
        wanted: number of servers that are neither claimed nor condemned.
        room: how many uids the annotation can still take; the rest waits for the next plan.
        strategy: scaleStrategy.scaleDownStrategyType.
    """
    now = sorted(due, key=lambda pair: pair[0].id)[: max(0, room)]
    if not now:
        return None
    deletions = sum(reason in LOWERS_REPLICAS for _, reason in now)
    return Accounting(
        replicas=lowered(replicas, wanted, deletions),
        pod_uids=tuple(server.pod_uid for server, _ in now),
        ids=tuple(server.id for server, _ in now) if strategy == "ReserveIds" else (),
    )


def parse_accounted(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the pod uids in the annotation, in its order."""
    text = annotations.get(names.ACCOUNTED_ANNOTATION, "")
    return tuple(uid for part in text.split(",") if (uid := part.strip()))


def render_accounted(before: Iterable[str], added: Iterable[str], dropped: Collection[str]) -> str:
    """Return the annotation's text; empty when nothing is left in it."""
    kept = dict.fromkeys((*before, *added))
    return ",".join(uid for uid in kept if uid not in dropped)
