"""What a plan for one game server can do: a closed set of values. Pure; `apply` does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, assert_never


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the GameServer, recorded after the write succeeded."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CreateServer:
    """Create the GameServer of a pod that has none."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteServer:
    """Delete a GameServer that speaks for a pod that is gone."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class PatchServer:
    """Patch spec and metadata of the GameServer, only if it still is the one that was observed.

    Attributes:
        document: the merge patch without its preconditions.
        only_remembers: it has no effect that anybody waits for.
    """

    document: dict[str, Any]
    uid: str
    resource_version: str
    events: tuple[Event, ...] = ()
    only_remembers: bool = False


@dataclass(frozen=True, slots=True)
class PatchStatus:
    """Replace the observed part of the GameServer's status."""

    status: dict[str, Any]
    uid: str
    resource_version: str
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class PatchPod:
    """Mirror the GameServer in the pod's labels, only if the pod still is as observed.

    Attributes:
        metadata: the merge patch of the metadata without its preconditions.
    """

    metadata: dict[str, Any]
    uid: str
    resource_version: str
    events: tuple[Event, ...] = ()


Operation = CreateServer | DeleteServer | PatchServer | PatchStatus | PatchPod


def describe(operation: Operation) -> str:
    """Return an operation in a few words, for the log line of the run."""
    match operation:
        case CreateServer():
            return "create GameServer"
        case DeleteServer():
            return "delete GameServer"
        case PatchServer(document):
            spec = document.get("spec", {})
            return f"patch GameServer {spec}" if spec else "patch GameServer metadata"
        case PatchStatus(status):
            return f"patch status, {status['currentState']}"
        case PatchPod():
            return "patch pod labels"
        case _:
            assert_never(operation)
