"""metav1.LabelSelector: the selector that stands in objects. Pure.

The selectors of requests, which are text, are in selectors.py.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.selectors import LabelRequirement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcluster.apiserver.objects import Object


def selects(selector: Object | None, labels: Object) -> bool:
    """Return whether `labels` satisfy every requirement; an empty selector is satisfied by all.

    NB: what an absent selector means is the field's business; here it means the same as an empty
    one.
    """
    return all(requirement.matches(labels) for requirement in _requirements(selector or {}))


def _requirements(selector: Object) -> Iterator[LabelRequirement]:
    for key, value in (selector.get("matchLabels") or {}).items():
        yield LabelRequirement(key, frozenset([value]), negated=False)
    for expression in selector.get("matchExpressions") or []:
        yield _requirement(expression)


def _requirement(expression: Any) -> LabelRequirement:
    key, operator = str(expression.get("key")), expression.get("operator")
    values = frozenset(expression.get("values") or ())
    if operator in ("Exists", "DoesNotExist"):
        return LabelRequirement(key, None, negated=operator == "DoesNotExist")
    if operator == "NotIn":
        return LabelRequirement(key, values, negated=True)
    # An operator nobody knows selects nothing, as an In of no values does.
    return LabelRequirement(key, values if operator == "In" else frozenset(), negated=False)
