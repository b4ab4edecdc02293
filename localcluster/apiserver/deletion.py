"""What a delete request does to one object: remove it now, or mark it and wait for somebody. Pure.

An object stays, with a deletionTimestamp, while it has finalizers or, for a pod, until its grace
period ended: the kubelet then deletes it again with grace 0. Foreground and orphan propagation are
finalizers that the garbage collector (garbage.py) removes when it is done.

Source: k8s.io/apiserver pkg/registry/rest/delete.go (BeforeDelete) and
pkg/registry/generic/registry/store.go
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.builtin import NAMESPACES, PODS
from localcluster.apiserver.errors import (
    ApiError,
    Cause,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    unsupported_value,
)
from localcluster.apiserver.objects import Object, dig, timestamp, with_metadata
from localcluster.apiserver.pods import DEFAULT_GRACE_SECONDS

if TYPE_CHECKING:
    from datetime import datetime

    from localcluster.apiserver.resources import Resource

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_PROPAGATION = {"Background": None, "Foreground": FOREGROUND, "Orphan": ORPHAN}


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """metav1.DeleteOptions.

    Args:
        grace_seconds: None for the object's own.
        propagation: Background, Foreground or Orphan; None leaves the finalizers as they are.
        uid: precondition.
        resource_version: precondition.
        dry_run: decide, but store nothing.
    """

    grace_seconds: int | None = None
    propagation: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False


def parse_options(body: Any, query: dict[str, str]) -> DeleteOptions:
    """Return the options of a request; those of the body win over the query.

    Raises:
        ApiError: 400 for a body that is no DeleteOptions, 422 for values out of range.
    """
    if not isinstance(body, dict):
        raise bad_request("the body of a delete request is a DeleteOptions object")
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = body.get("propagationPolicy", query.get("propagationPolicy")) or None
    if body.get("orphanDependents") is True and propagation is None:
        propagation = "Orphan"
    try:
        seconds = None if grace in (None, "") else int(grace)
    except (TypeError, ValueError) as error:
        raise bad_request(f"gracePeriodSeconds: {grace!r} is not a number of seconds") from error
    dry_run = body.get("dryRun") or [value for value in (query.get("dryRun"),) if value]
    causes = _option_causes(body, propagation, dry_run)
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)
    if seconds is not None and seconds < 0:
        # The shortest wait in which a kubelet still acts.
        seconds = 1
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        seconds,
        propagation,
        preconditions.get("uid"),
        preconditions.get("resourceVersion"),
        bool(dry_run),
    )


def _option_causes(body: Object, propagation: Any, dry_run: Any) -> list[Cause]:
    causes = []
    if propagation is not None and propagation not in _PROPAGATION:
        causes.append(unsupported_value("propagationPolicy", propagation, list(_PROPAGATION)))
    if body.get("orphanDependents") is not None and propagation not in (None, "Orphan"):
        why = "orphanDependents and deletionPropagation cannot be both set"
        causes.append(invalid_value("propagationPolicy", propagation, why))
    if dry_run not in ([], ["All"]):
        causes.append(unsupported_value("dryRun", dry_run, ["All"]))
    return causes


def check_preconditions(resource: Resource, obj: Object, options: DeleteOptions) -> None:
    """Raise 409 when `obj` is not the object, or not the version, that the client wants deleted."""
    metadata = obj["metadata"]
    for name, wanted, actual in (
        ("UID", options.uid, metadata["uid"]),
        ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
    ):
        # An empty precondition is one that nothing fulfils.
        if wanted not in (None, actual):
            why = (
                f"Precondition failed: {name} in precondition: {wanted}, "
                f"{name} in object meta: {actual}"
            )
            raise precondition_failed(resource, metadata["name"], why)


def precondition_failed(resource: Resource, name: str, why: str) -> ApiError:
    """Return the 409 of a failed precondition."""
    return conflict(resource.group, resource.plural, name, why)


def mark(resource: Resource, obj: Object, options: DeleteOptions, now: datetime) -> Object | None:
    """Return a deleted `obj`: marked, `obj` itself if nothing changes, or None if it is gone."""
    finalizers = _finalizers(obj["metadata"].get("finalizers") or [], options.propagation)
    grace = _grace(resource, obj, options.grace_seconds)
    blocked = bool(finalizers) or _namespace_with_contents(resource, obj)
    if not blocked and grace == 0:
        return None
    metadata = obj["metadata"]
    changes: Object = {"finalizers": finalizers or None}
    if not metadata.get("deletionTimestamp") or grace < metadata["deletionGracePeriodSeconds"]:
        changes["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
        changes["deletionGracePeriodSeconds"] = grace
        if not metadata.get("deletionTimestamp") and "generation" in metadata:
            changes["generation"] = metadata["generation"] + 1
    marked = with_metadata(obj, **changes)
    if resource.collection == NAMESPACES:
        marked = {**marked, "status": {**(obj.get("status") or {}), "phase": "Terminating"}}
    return obj if marked == obj else marked


def is_over(resource: Resource, obj: Object) -> bool:
    """Return whether nothing holds a marked object any more, so that it is to be removed."""
    metadata = obj["metadata"]
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and metadata.get("deletionGracePeriodSeconds", 0) == 0
        and not _namespace_with_contents(resource, obj)
    )


def _namespace_with_contents(resource: Resource, obj: Object) -> bool:
    return resource.collection == NAMESPACES and bool(dig(obj, "spec", "finalizers"))


def _finalizers(current: list[str], propagation: str | None) -> list[str]:
    if propagation is None:
        return current
    wanted = _PROPAGATION[propagation]
    kept = [name for name in current if name not in (FOREGROUND, ORPHAN)]
    return [*kept, wanted] if wanted else kept


def _grace(resource: Resource, obj: Object, asked: int | None) -> int:
    if resource.collection != PODS:
        return 0
    spec, metadata = obj["spec"], obj["metadata"]
    if not spec.get("nodeName") or dig(obj, "status", "phase") in ("Failed", "Succeeded"):
        # No kubelet would ever confirm the end: there is nothing to wait for.
        return 0
    own = int(spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS))
    grace = own if asked is None else asked
    if metadata.get("deletionTimestamp"):
        # A second delete may shorten the wait, never lengthen it.
        grace = min(grace, metadata.get("deletionGracePeriodSeconds", own))
    return grace
