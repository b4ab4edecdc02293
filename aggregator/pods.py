"""The part of a pod that Gamekeeper reads, decoded by msgspec (about 11 us an event). No I/O.

Everything else of a pod is dropped at decoding: 10,000 whole pods would not fit our memory limit.
A pod is ours by its controller, not by a label: a label that somebody removes would hide a running
game, and its id would be given away. So all pods are watched, and foreign ones cost a search for
our API group in their text: measured 4 us on 5 KB, beside 8 us for the version that every watch
event costs; a cluster of 10,000 foreign pods that change once a minute takes 2 ms of a second.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from shared.api import names
from shared.protocol.paths import AGENT_CONTAINER_NAME

_NATIVE_SIDECAR_POLICY = "Always"
# Both an owner reference to a set and the label of an orphan contain it.
_MARK = names.GROUP.encode()


class PodOwner(msgspec.Struct, rename="camel", frozen=True):
    """An owner reference."""

    uid: str = ""
    name: str = ""
    kind: str = ""
    controller: bool = False


class PodMeta(msgspec.Struct, rename="camel", frozen=True):
    """A pod's metadata."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[PodOwner, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class PodContainer(msgspec.Struct, rename="camel", frozen=True):
    """A container of the spec."""

    name: str
    image: str = ""
    restart_policy: str = ""


class PodClaim(msgspec.Struct, rename="camel", frozen=True):
    """A volume that is a PersistentVolumeClaim."""

    claim_name: str = ""


class PodVolume(msgspec.Struct, rename="camel", frozen=True):
    """A volume of the spec."""

    persistent_volume_claim: PodClaim | None = None


class PodSpec(msgspec.Struct, rename="camel", frozen=True):
    """A pod's spec."""

    node_name: str = ""
    containers: tuple[PodContainer, ...] = ()
    init_containers: tuple[PodContainer, ...] = ()
    volumes: tuple[PodVolume, ...] = ()


class PodCondition(msgspec.Struct, rename="camel", frozen=True):
    """A condition of the pod."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class ContainerWaiting(msgspec.Struct, rename="camel", frozen=True):
    """Why a container does not run yet, or again."""

    reason: str = ""


class ContainerState(msgspec.Struct, rename="camel", frozen=True):
    """What a container does."""

    waiting: ContainerWaiting | None = None


class ContainerStatus(msgspec.Struct, rename="camel", frozen=True):
    """What the kubelet says about a container."""

    name: str
    container_id: str = msgspec.field(default="", name="containerID")
    state: ContainerState = ContainerState()


class PodStatus(msgspec.Struct, rename="camel", frozen=True):
    """A pod's status."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    host_ip: str = msgspec.field(default="", name="hostIP")
    start_time: datetime | None = None
    conditions: tuple[PodCondition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(msgspec.Struct, rename="camel", frozen=True):
    """A pod."""

    metadata: PodMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def terminating(self) -> bool:
        """Whether somebody has deleted it."""
        return self.metadata.deletion_timestamp is not None

    @property
    def controller(self) -> PodOwner | None:
        """Its controller; None for an orphan."""
        owners = (owner for owner in self.metadata.owner_references if owner.controller)
        return next(owners, None)

    @property
    def controller_uid(self) -> str:
        """The uid of its controller; empty for an orphan."""
        controller = self.controller
        return controller.uid if controller is not None else ""

    @property
    def set_name(self) -> str:
        """The set that controls it, or whose label an orphan has; empty when it is none of ours."""
        controller = self.controller
        if controller is None:
            return self.metadata.labels.get(names.OWNER_LABEL, "")
        return controller.name if controller.kind == names.GAMESERVERSET_KIND else ""

    @property
    def claim_names(self) -> tuple[str, ...]:
        """The PersistentVolumeClaims that it mounts."""
        claims = (volume.persistent_volume_claim for volume in self.spec.volumes)
        return tuple(claim.claim_name for claim in claims if claim is not None)

    @property
    def ready(self) -> bool:
        """Whether its condition Ready is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def ready_since(self) -> datetime | None:
        """When the condition Ready last changed; None when that is unknown."""
        times = (c.last_transition_time for c in self.status.conditions if c.type == "Ready")
        return next(times, None)

    @property
    def finished(self) -> bool:
        """Whether it ended for good: none of its containers will start again."""
        return self.status.phase in ("Failed", "Succeeded")

    @property
    def container_ids(self) -> dict[str, str]:
        """The runtime's id of each container that has one, by name."""
        return {c.name: c.container_id for c in self.status.container_statuses if c.container_id}

    @property
    def is_probed(self) -> bool:
        """Whether its agent should be reporting: it has one, and it was started.

        A pod that still pulls its image has nobody to be silent.
        """
        return self.status.phase == "Running" and self.has_container(AGENT_CONTAINER_NAME)

    def has_container(self, name: str) -> bool:
        """Tell whether a container or a native sidecar has this name."""
        sidecars = (
            c for c in self.spec.init_containers if c.restart_policy == _NATIVE_SIDECAR_POLICY
        )
        return any(container.name == name for container in (*self.spec.containers, *sidecars))


decode_pod = msgspec.json.Decoder(Pod).decode


def decode_our_pod(raw: bytes) -> Pod | None:
    """Return the pod, None when no set has anything to do with it.

    Raises:
        msgspec.MsgspecError: it is no pod.
    """
    if _MARK not in raw:
        return None
    pod = decode_pod(raw)
    return pod if pod.set_name else None
