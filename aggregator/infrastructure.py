"""The part of nodes and volumes that Gamekeeper reads: is something wrong with them. No I/O.

They are read for conditions only, so an aggregator without the right to list them works all the
same. Heartbeats and everything else that changes by itself is dropped at decoding: two versions
that say the same are equal.
"""

from __future__ import annotations

import msgspec


class InfrastructureMeta(msgspec.Struct, rename="camel", frozen=True):
    """Metadata."""

    name: str
    namespace: str = ""


class NodeCondition(msgspec.Struct, rename="camel", frozen=True):
    """A condition of a node."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class NodeStatus(msgspec.Struct, rename="camel", frozen=True):
    """A node's status."""

    conditions: tuple[NodeCondition, ...] = ()


class Node(msgspec.Struct, rename="camel", frozen=True):
    """A node."""

    metadata: InfrastructureMeta
    status: NodeStatus = NodeStatus()


class ClaimSpec(msgspec.Struct, rename="camel", frozen=True):
    """A PersistentVolumeClaim's spec."""

    volume_name: str = ""


class VolumePhase(msgspec.Struct, rename="camel", frozen=True):
    """The status of a claim or a volume."""

    phase: str = ""
    message: str = ""


class Claim(msgspec.Struct, rename="camel", frozen=True):
    """A PersistentVolumeClaim."""

    metadata: InfrastructureMeta
    spec: ClaimSpec = ClaimSpec()
    status: VolumePhase = VolumePhase()


class ClaimReference(msgspec.Struct, rename="camel", frozen=True):
    """Which claim a volume is bound to."""

    namespace: str = ""
    name: str = ""


class VolumeSpec(msgspec.Struct, rename="camel", frozen=True):
    """A PersistentVolume's spec."""

    claim_ref: ClaimReference | None = None


class Volume(msgspec.Struct, rename="camel", frozen=True):
    """A PersistentVolume."""

    metadata: InfrastructureMeta
    spec: VolumeSpec = VolumeSpec()
    status: VolumePhase = VolumePhase()


decode_node = msgspec.json.Decoder(Node).decode
decode_claim = msgspec.json.Decoder(Claim).decode
decode_volume = msgspec.json.Decoder(Volume).decode
