"""What a request asks for, read from its method, path and query. Pure.

Source: k8s.io/apiserver pkg/endpoints/request/requestinfo.go and
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcluster.apiserver.errors import (
    Cause,
    bad_request,
    forbidden_field,
    invalid,
    no_such_path,
    unsupported_value,
)
from localcluster.apiserver.selectors import Selector, parse_fields, parse_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcluster.apiserver.resources import Registry, Resource

_FIELD_VALIDATIONS = ("Strict", "Warn", "Ignore")
_MANAGER_LENGTH = 128
_OPTIONS_GROUP = "meta.k8s.io"
_NOT_OLDER_THAN = "NotOlderThan"
_EXACT = "Exact"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names.

    Args:
        resource: the served resource.
        namespace: empty for cluster-scoped resources and for lists over all namespaces.
        name: empty for collections.
        subresource: empty for the object itself.
    """

    resource: Resource
    namespace: str
    name: str
    subresource: str


@dataclass(frozen=True, slots=True)
class ListOptions:
    """metav1.ListOptions.

    Args:
        selector: namespace, labels and fields.
        version: the resourceVersion; None where none was given.
        limit: rows of a page; 0 is no limit.
        cursor: the `continue` token; empty for the first page.
        watch: a stream instead of a list.
        bookmarks: whether the client understands BOOKMARK events.
        initial_events: sendInitialEvents.
        timeout_seconds: after which a watch ends; None leaves it to the server.
        exact: a list of the state at `version`, and not of one at least as new.
    """

    selector: Selector
    version: int | None
    limit: int
    cursor: str
    watch: bool
    bookmarks: bool
    initial_events: bool
    timeout_seconds: float | None
    exact: bool = False


def parse_target(registry: Registry, parts: list[str]) -> Target:
    """Return what a path names.

    Args:
        registry: the served resources.
        parts: the path without its leading slash, split and decoded, for example
            `["api", "v1", "namespaces", "default", "pods"]`.

    Raises:
        ApiError: 404 when nothing is served there.
    """
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_path()
    namespace = ""
    # /namespaces/NAME and /namespaces/NAME/status are the namespace itself; anything longer is
    # inside it.
    inside = len(rest) > 3 or (len(rest) == 3 and rest[2] != "status")
    if rest[0] == "namespaces" and inside:
        namespace, rest = rest[1], rest[2:]
    resource = registry.find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        raise no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    known = not subresource or subresource in resource.subresources
    if not known or (name and resource.namespaced and not namespace):
        raise no_such_path()
    return Target(resource, namespace, name, subresource)


def parse_list_options(target: Target, query: Mapping[str, str]) -> ListOptions:
    """Return the options of a list or watch; a name in the path becomes a field selector.

    Raises:
        ApiError: 400 for an option that cannot be read, 422 for options that do not go together.
    """
    causes = _watch_causes(query) if is_true(query, "watch") else _list_causes(query)
    if causes:
        raise invalid(_OPTIONS_GROUP, "ListOptions", "", causes)
    fields = parse_fields(query.get("fieldSelector", ""), target.resource.field_selectors)
    if target.name:
        fields += parse_fields(f"metadata.name={target.name}", target.resource.field_selectors)
    timeout = query.get("timeoutSeconds")
    return ListOptions(
        selector=Selector(
            target.namespace or None, parse_labels(query.get("labelSelector", "")), fields
        ),
        version=_version(query.get("resourceVersion", "")),
        limit=_number("limit", query.get("limit") or "0"),
        cursor=query.get("continue", ""),
        watch=is_true(query, "watch"),
        bookmarks=is_true(query, "allowWatchBookmarks"),
        initial_events=is_true(query, "sendInitialEvents"),
        timeout_seconds=_number("timeoutSeconds", timeout) if timeout else None,
        exact=query.get("resourceVersionMatch") == _EXACT,
    )


def _list_causes(query: Mapping[str, str]) -> list[Cause]:
    # Source: k8s.io/apimachinery pkg/apis/meta/internalversion/validation
    field, match, version = "resourceVersionMatch", query.get("resourceVersionMatch"), ""
    causes = []
    if match:
        version = query.get("resourceVersion", "")
        if not version:
            causes.append(forbidden_field(field, f"{field} is forbidden without resourceVersion"))
        if query.get("continue"):
            causes.append(forbidden_field(field, f"{field} is forbidden with continue"))
        if match not in (_EXACT, _NOT_OLDER_THAN):
            causes.append(unsupported_value(field, match, [_EXACT, _NOT_OLDER_THAN]))
        if match == _EXACT and version == "0":
            causes.append(forbidden_field(field, f'{_EXACT} is forbidden for resourceVersion "0"'))
    if query.get("sendInitialEvents"):
        causes.append(forbidden_field("sendInitialEvents", "is forbidden for a list"))
    return causes


def _watch_causes(query: Mapping[str, str]) -> list[Cause]:
    field, match = "resourceVersionMatch", query.get("resourceVersionMatch")
    causes = []
    if query.get("sendInitialEvents"):
        if match != _NOT_OLDER_THAN:
            why = f"sendInitialEvents requires setting {field} to {_NOT_OLDER_THAN}"
            causes.append(forbidden_field(field, why))
    elif match:
        why = f"{field} is forbidden for a watch unless sendInitialEvents is provided"
        causes.append(forbidden_field(field, why))
    return causes


def parse_field_validation(query: Mapping[str, str]) -> str:
    """Return Strict, Warn or Ignore; Warn unless given, as the real server.

    Raises:
        ApiError: 422 for anything else.
    """
    value = query.get("fieldValidation") or "Warn"
    if value not in _FIELD_VALIDATIONS:
        cause = unsupported_value("fieldValidation", value, _FIELD_VALIDATIONS)
        raise invalid(_OPTIONS_GROUP, "PatchOptions", "", [cause])
    return value


def parse_field_manager(query: Mapping[str, str], user_agent: str) -> str:
    """Return who owns what is written: the field manager, or the program of the user agent.

    Source: k8s.io/apiserver pkg/endpoints/handlers/create.go (managerOrUserAgent)

    Raises:
        ApiError: 422 for a name that is too long.
    """
    given = query.get("fieldManager", "")
    if len(given) > _MANAGER_LENGTH:
        why = f"may not be more than {_MANAGER_LENGTH} bytes"
        cause = Cause("FieldValueTooLong", "fieldManager", f"Too long: {why}")
        raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
    return given or user_agent.partition("/")[0][:_MANAGER_LENGTH] or "unknown"


def parse_dry_run(query: Mapping[str, str]) -> bool:
    """Return whether nothing may be stored.

    Raises:
        ApiError: 422 for a value other than All.
    """
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        cause = unsupported_value("dryRun", [value], ["All"])
        raise invalid(_OPTIONS_GROUP, "PatchOptions", "", [cause])
    return bool(value)


def is_true(query: Mapping[str, str], name: str) -> bool:
    """Return whether a boolean option is set."""
    return query.get(name, "").lower() in ("true", "1")


def _version(text: str) -> int | None:
    if not text:
        return None
    return _number("resourceVersion", text)


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise bad_request(f"{name}: {text!r} is not a whole number")
    return int(text)
