"""Reads what KEDA sends with every call: the ScaledObject's name and its trigger's metadata. Pure.

| key | means |
| --- | --- |
| minAvailable, maxAvailable | idle servers: "3", "20%", "0.2" |
| gameServerSet | the set, if it has not the ScaledObject's name |
| maxReplicas | the cap: no answer asks for more while marked servers wait |
| hpaTolerance | of the HPA: growth within it is raised just above it |
| removal | Count (the HPA removes by number) or Claim (the aggregator removes the marked by name) |
| waitToBeDeletedSeconds | with Claim: how long a server has to be marked, 30 by default |

Keys that are not ours are KEDA's own (scalerAddress, certificates) or other scalers', and ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from aggregator.kube.resources import ObjectKey
from aggregator.scaling.keda_metric import MetricRules
from aggregator.scaling.policy import Policy
from aggregator.scaling.quantity import parse_amount
from shared.api.meta import INT32_MAX
from shared.errors import InvalidInput, TerminalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aggregator.scaling.quantity import Amount

_MOST_KEYS = 64
_DEFAULT_DWELL = 30
_LONGEST_DWELL = 86_400


class UnsuitableMetric(TerminalError):  # noqa: N818 - it names the fault, as its siblings do
    """The metric type would make KEDA's HPA compute something else than what we answer."""


@dataclass(frozen=True, slots=True)
class ScalerRequest:
    """What is asked about.

    Attributes:
        scaled_object: who asks.
        set_key: about which set.
        policy: minAvailable and maxAvailable; all else is the HPA's.
        rules: how the number is told; without what only the ScaledObject says.
    """

    scaled_object: ObjectKey
    set_key: ObjectKey
    policy: Policy
    rules: MetricRules


def read_request(scaled_object: ObjectKey, metadata: Mapping[str, str]) -> ScalerRequest:
    """Return what a call means.

    Raises:
        InvalidInput: a value means nothing; names its key.
        UnsuitableMetric: metricType is Value.
    """
    if not scaled_object.name or not scaled_object.namespace:
        raise InvalidInput("scaledObjectRef", "must have a name and a namespace")
    if len(metadata) > _MOST_KEYS:
        raise InvalidInput("metadata", f"has {len(metadata)} keys; at most {_MOST_KEYS} are read")
    refuse_value(metadata.get("metricType", ""))
    cap = _number(metadata, "maxReplicas", INT32_MAX)
    dwell = _number(metadata, "waitToBeDeletedSeconds", _LONGEST_DWELL)
    policy = Policy(
        min_replicas=0,
        max_replicas=INT32_MAX if cap is None else cap,
        min_available=_amount(metadata, "minAvailable"),
        max_available=_amount(metadata, "maxAvailable"),
        wait_to_be_deleted=timedelta(seconds=_DEFAULT_DWELL if dwell is None else dwell),
    )
    name = metadata.get("gameServerSet", scaled_object.name)
    return ScalerRequest(
        scaled_object,
        ObjectKey(scaled_object.namespace, name),
        policy,
        MetricRules(cap, _tolerance(metadata), _claims(metadata)),
    )


def refuse_value(metric_type: str) -> None:
    """Refuse the metric type Value.

    Raises:
        UnsuitableMetric: an HPA multiplies the present replicas with the ratio of a Value.
    """
    if metric_type == "Value":
        message = "metricType must be AverageValue: with Value an HPA multiplies what we answer"
        raise UnsuitableMetric("UnsuitableMetric", message)


def _amount(metadata: Mapping[str, str], key: str) -> Amount | None:
    return parse_amount(metadata[key], key) if key in metadata else None


def _number(metadata: Mapping[str, str], key: str, most: int) -> int | None:
    text = metadata.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        raise InvalidInput(key, f"{text[:32]!r} must be a whole number from 0 to {most}")
    return int(text)


def _tolerance(metadata: Mapping[str, str]) -> Fraction:
    key = "hpaTolerance"
    if key not in metadata:
        return Fraction(0)
    tolerance = parse_amount(metadata[key], key)
    if tolerance >= 1:
        message = f'{metadata[key][:32]!r} must be a share such as "0.1", or 0'
        raise InvalidInput(key, message)
    return Fraction(tolerance)


def _claims(metadata: Mapping[str, str]) -> bool:
    removal = metadata.get("removal", "Count")
    if removal not in ("Count", "Claim"):
        raise InvalidInput("removal", f"{removal[:32]!r} must be Count or Claim")
    return removal == "Claim"
