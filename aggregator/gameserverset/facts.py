"""What the spec of a set means, read once for each of its generations. Pure.

A reserve list may have ten thousand items, and a quality's templates have to be parsed: that is not
done again for every event of a pod.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aggregator.gameserverset.ids import IdProblem, IdSet, parse_reserve_list
from aggregator.gameserverset.revision import template_revision
from aggregator.quality.problems import invalid_qualities

if TYPE_CHECKING:
    from aggregator.quality.probes import QualityProblem
    from shared.api.gameserverset import GameServerSet

_PERCENTAGE = re.compile(r"([0-9]{1,9})%")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a spec means.

    Attributes:
        reserved: ids that must not exist.
        reserve_problems: items of the reserve list that mean nothing.
        quality_problems: what is ignored of the service qualities.
        revision: hash of the template.
    """

    reserved: IdSet
    reserve_problems: tuple[IdProblem, ...]
    quality_problems: tuple[QualityProblem, ...]
    revision: str


def read_facts(owner: GameServerSet) -> Facts:
    """Return what the spec of a set means; depends on its spec and its collisionCount only."""
    reserved, problems = parse_reserve_list(owner.spec.reserve_game_server_ids)
    return Facts(
        reserved=reserved,
        reserve_problems=problems,
        quality_problems=invalid_qualities(owner.spec),
        revision=template_revision(owner),
    )


def resolve(amount: int | str, total: int, *, round_up: bool) -> int:
    """Return the number that an absolute amount or a percentage of `total` means.

    A share that is not nothing is at least one when it is rounded down, so that "10%" of five
    servers does not stop an update for ever.

    Source: https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/ (IntOrString).
    """
    found = _PERCENTAGE.fullmatch(str(amount))
    if found is None:
        return int(amount)
    percent = int(found[1])
    if round_up:
        return math.ceil(total * percent / 100)
    return max(1, total * percent // 100) if percent else 0
