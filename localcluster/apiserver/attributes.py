"""What a request is about: the attributes that authorization, records and faults look at. Pure.

They are read from method, path and query alone, so that they exist for resources that nobody
serves too: whether a user may ask comes before whether there is an answer.

Source: k8s.io/apiserver pkg/endpoints/request/requestinfo.go and
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#review-your-request-attributes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "DELETE": "deletecollection"}
_OBJECT_VERBS = {"GET": "get", "HEAD": "get", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request.

    Args:
        verb: get, list, watch, create, update, patch, delete or deletecollection; the method in
            small letters where `path` is set.
        group: of the API; empty for the core.
        resource: plural; empty where `path` is set.
        subresource: for example status; empty for the object itself.
        namespace: empty for cluster-scoped resources and for all namespaces.
        name: empty for collections.
        path: of a request that is not about a resource; empty otherwise.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def qualified_resource(self) -> str:
        """The resource with its subresource, for example pods/log."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def parse_attributes(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """Return what a request is about.

    Args:
        method: of HTTP.
        path: decoded, without the query.
        query: watch and fieldSelector are read.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) > 2 and parts[0] == "api":
        group, rest = "", parts[2:]
    elif len(parts) > 3 and parts[0] == "apis":
        group, rest = parts[1], parts[3:]
    else:
        return Attributes(method.lower(), path=path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        # A namespace is in itself, so that a role in it can speak of it.
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    resource, name, subresource = (*rest, "", "")[:3]
    if not name:
        name = _selected_name(query.get("fieldSelector", "")) if method != "POST" else ""
        verb = _VERBS.get(method) or _COLLECTION_VERBS.get(method, method.lower())
    else:
        verb = _VERBS.get(method) or _OBJECT_VERBS.get(method, method.lower())
    if method == "GET" and query.get("watch", "").lower() in ("true", "1"):
        verb = "watch"
    return Attributes(verb, group, resource, subresource, namespace, name)


def _selected_name(selector: str) -> str:
    """Return the name that a list is restricted to: a rule about that name covers it."""
    for part in selector.split(","):
        field, equals, value = part.replace("==", "=").partition("=")
        if field == "metadata.name" and equals:
            return value
    return ""
