"""The part of HPAs and KEDA's ScaledObjects that we read, and what KEDA means by it. No I/O.

Source: https://keda.sh/docs/latest/reference/scaledobject-spec/ (maxReplicaCount, paused scaling).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from shared.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

# KEDA's default of maxReplicaCount.
DEFAULT_MAXIMUM = 100
# The types of a trigger that asks an external scaler.
EXTERNAL_TRIGGERS = frozenset({"external", "external-push"})
_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")


def is_paused(annotations: Mapping[str, str]) -> bool:
    """Tell whether these annotations of a ScaledObject keep KEDA from scaling its target."""
    return any(str(annotations.get(key, "false")).lower() != "false" for key in _PAUSED)


class TargetRef(msgspec.Struct, rename="camel", frozen=True):
    """What an HPA or a ScaledObject scales."""

    name: str = ""
    kind: str = ""
    api_version: str = ""


class _Meta(msgspec.Struct, rename="camel", frozen=True):
    name: str = ""
    annotations: dict[str, str] = {}


class Trigger(msgspec.Struct, rename="camel", frozen=True):
    """One trigger of a ScaledObject."""

    type: str = ""
    metric_type: str = ""
    metadata: dict[str, str] = {}


class _Spec(msgspec.Struct, rename="camel", frozen=True):
    scale_target_ref: TargetRef = TargetRef()
    max_replica_count: int | None = None
    triggers: tuple[Trigger, ...] = ()


class Rival(msgspec.Struct, rename="camel", frozen=True):
    """The part of an HPA or ScaledObject that tells what it scales."""

    metadata: _Meta = _Meta()
    spec: _Spec = _Spec()

    def targets(self, set_name: str) -> bool:
        """Tell whether it scales the set of this name; other groups' kinds of that name do not."""
        ref = self.spec.scale_target_ref
        group = ref.api_version.partition("/")[0]
        return (group, ref.kind, ref.name) == (names.GROUP, names.GAMESERVERSET_KIND, set_name)

    @property
    def paused(self) -> bool:
        """Whether KEDA was told to leave its target alone."""
        return is_paused(self.metadata.annotations)


decode_rival = msgspec.json.Decoder(Rival).decode
