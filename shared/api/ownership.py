"""Which part of Gamekeeper writes which field: one for each (ARCHITECTURE, principle 3). Pure.

Two controllers that write one field fight, and a crash between them leaves neither's value. So a
field has one writer of ours. People and matchmakers may write any `spec` beside it: that is what
compare-and-set and the rules for edges are for. Existence is the path (): who creates and deletes.
The table is read by tests, which hold every write of the appliers against it.
"""

from __future__ import annotations

from enum import StrEnum

from shared.api import names

Path = tuple[str, ...]


class Writer(StrEnum):
    """A part of Gamekeeper that writes to the API server."""

    GAMESERVER = "aggregator.gameserver"
    GAMESERVERSET = "aggregator.gameserverset"
    CLAIMS = "aggregator.claims"
    AUTOSCALER = "aggregator.autoscaler"


_LABELS: Path = ("metadata", "labels")
_ANNOTATIONS: Path = ("metadata", "annotations")

# By kind and path; the longest path that leads to a field decides.
OWNERS: dict[str, dict[Path, Writer]] = {
    "ConfigMap": {(): Writer.GAMESERVERSET},
    "Pod": {
        (): Writer.GAMESERVERSET,
        # The mirror of the GameServer.
        (*_LABELS, names.OWNER_LABEL): Writer.GAMESERVER,
        (*_LABELS, names.STATE_LABEL): Writer.GAMESERVER,
        (*_LABELS, names.OPS_STATE_LABEL): Writer.GAMESERVER,
        (*_LABELS, names.UPDATE_PRIORITY_LABEL): Writer.GAMESERVER,
        (*_LABELS, names.DELETE_PRIORITY_LABEL): Writer.GAMESERVER,
        (*_LABELS, names.NETWORK_DISABLED_LABEL): Writer.GAMESERVER,
        (*_ANNOTATIONS, names.OPS_STATE_CHANGED_ANNOTATION): Writer.GAMESERVER,
        (*_ANNOTATIONS, names.STATE_CHANGED_ANNOTATION): Writer.GAMESERVER,
    },
    names.GAMESERVER_KIND: {
        # Actions of service qualities set any label, annotation and field of the spec.
        (): Writer.GAMESERVER,
        (*_LABELS, names.DELETING_LABEL): Writer.CLAIMS,
        ("spec", "deletion"): Writer.CLAIMS,
    },
    names.AUTOSCALER_KIND: {("status",): Writer.AUTOSCALER},
    # Its spec and metadata belong to people, but for what a deletion costs. An autoscaler raises
    # replicas in people's place, as they do and an HPA does: on the version that it saw.
    names.GAMESERVERSET_KIND: {
        ("status",): Writer.GAMESERVERSET,
        ("spec", "replicas"): Writer.GAMESERVERSET,
        ("spec", "reserveGameServerIds"): Writer.GAMESERVERSET,
        (*_ANNOTATIONS, names.ACCOUNTED_ANNOTATION): Writer.GAMESERVERSET,
    },
    # What goes with a set.
    "ControllerRevision": {(): Writer.GAMESERVERSET},
    "NetworkPolicy": {(): Writer.GAMESERVERSET},
    "PersistentVolumeClaim": {(): Writer.GAMESERVERSET},
    "PodDisruptionBudget": {(): Writer.GAMESERVERSET},
    "Service": {(): Writer.GAMESERVERSET},
}


def writer_of(kind: str, path: Path) -> Writer | None:
    """Return who writes a field; None when no part of Gamekeeper does.

    Args:
        kind: of the object, for example `Pod`.
        path: names from the object's root, for example ("metadata", "labels", "team"); empty for
            the existence of the object.
    """
    if kind == "Pod" and path[:2] in (_LABELS, _ANNOTATIONS) and _is_synced(path):
        return Writer.GAMESERVER
    owners = OWNERS.get(kind, {})
    lengths = range(len(path), -1, -1)
    return next((owners[path[:length]] for length in lengths if path[:length] in owners), None)


def _is_synced(path: Path) -> bool:
    """Tell whether a key is copied from the GameServer: the table has names, this is a prefix."""
    return len(path) > 2 and path[2].startswith(names.SYNC_PREFIX)
