"""What roles grant and what was asked for, so that the two can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource (`pods/status` for a subresource).

    `namespace` is empty for a grant in all of them, and for a request to the whole cluster.
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def covers(self, asked: Right) -> bool:
        """Tell whether this grant is enough for a request."""
        same = (self.verb, self.group, self.resource) == (asked.verb, asked.group, asked.resource)
        return same and self.namespace in ("", asked.namespace)


def granted(objects: Iterable[dict[str, Any]]) -> set[Right]:
    """Return every right that the roles among these objects grant; each role must be bound."""
    return {
        Right(verb, group, resource, each["metadata"].get("namespace", ""))
        for each in objects
        if each["kind"] in ("Role", "ClusterRole")
        for rule in each["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(rows: Iterable[dict[str, str]]) -> set[Right]:
    """Return what the local API server's record of a user says, discovery left out."""
    return {
        Right(
            row["verb"],
            row["group"],
            "/".join(filter(None, (row["resource"], row["subresource"]))),
            row["namespace"],
        )
        for row in rows
        if row["resource"]
    }


def as_granted(rights: Iterable[Right], requests: Iterable[Right]) -> set[Right]:
    """Return the rights that requests made use of; a request that no right covers as it is."""
    found: set[Right] = set()
    for request in requests:
        found |= {each for each in rights if each.covers(request)} or {request}
    return found
