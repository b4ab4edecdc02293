"""ObjectMeta: decoding, and validation of names, labels and annotations. Pure.

Source: k8s.io/apimachinery pkg/api/validation/objectmeta.go and pkg/util/validation/validation.go
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.errors import Cause, invalid_value

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object

_FIELDS = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    }
)
# The server writes managedFields after this (ownership.py); nobody has read selfLink since 1.20.
_NEVER_STORED = ("selfLink", "managedFields")

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_USED = "regex used for validation is"
_RFC1123_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character "
    f"(e.g. 'my-name',  or '123-abc', {_USED} '{_LABEL}')"
)
_RFC1123_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'example.com', {_USED} '{_SUBDOMAIN}')"
)
_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character "
    f"(e.g. 'MyValue',  or 'my_value',  or '12345', {_USED} '{_VALUE}')"
)
_QUALIFIED_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', {_USED} '{_QUALIFIED}')"
)
_LABEL_LENGTH = 63
_SUBDOMAIN_LENGTH = 253
_ANNOTATIONS_BYTES = 256 * 1024


def complete(metadata: Object) -> list[str]:
    """Remove in place what is not ObjectMeta or not stored; return the unknown fields."""
    unknown = [name for name in metadata if name not in _FIELDS]
    empty = [name for name, value in metadata.items() if value in (None, "", [], {})]
    for name in {*unknown, *empty, *_NEVER_STORED}:
        metadata.pop(name, None)
    return [f"metadata.{name}" for name in unknown]


def label_causes(value: str, field: str = "metadata.name") -> list[Cause]:
    """Return what keeps `value` from being a DNS label (RFC 1123, 63 characters)."""
    return _pattern_causes(value, field, _LABEL, _RFC1123_LABEL, _LABEL_LENGTH)


def subdomain_causes(value: str, field: str = "metadata.name") -> list[Cause]:
    """Return what keeps `value` from being a DNS subdomain (RFC 1123, 253 characters)."""
    return _pattern_causes(value, field, _SUBDOMAIN, _RFC1123_SUBDOMAIN, _SUBDOMAIN_LENGTH)


def path_segment_causes(value: str, field: str = "metadata.name") -> list[Cause]:
    """Return what keeps `value` from being one segment of a URL path (roles and their bindings)."""
    if value in (".", ".."):
        return [invalid_value(field, value, f"may not be '{value}'")]
    return [
        invalid_value(field, value, f"may not contain '{character}'")
        for character in "/%"
        if character in value
    ]


def causes(metadata: Object) -> list[Cause]:
    """Return what is wrong with labels, annotations, owner references and finalizers."""
    found = _shape_causes(metadata)
    if found:
        return found
    for key, value in (metadata.get("labels") or {}).items():
        found += _key_causes("metadata.labels", key)
        found += _pattern_causes(value, "metadata.labels", _VALUE, _LABEL_VALUE, _LABEL_LENGTH)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        found += _key_causes("metadata.annotations", key)
    size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if size > _ANNOTATIONS_BYTES:
        message = f"Too long: may not be more than {_ANNOTATIONS_BYTES} bytes"
        found.append(Cause("FieldValueTooLong", "metadata.annotations", message))
    for finalizer in metadata.get("finalizers") or []:
        found += _key_causes("metadata.finalizers", finalizer)
    return found + _owner_causes(metadata.get("ownerReferences") or [])


def _owner_causes(references: list[Object]) -> list[Cause]:
    field = "metadata.ownerReferences"
    # The real server names no index here.
    found = [
        invalid_value(f"{field}.{name}", "", "must not be empty")
        for reference in references
        for name in ("apiVersion", "kind", "name", "uid")
        if not reference.get(name)
    ]
    if sum(reference.get("controller") is True for reference in references) > 1:
        why = "Only one reference can have Controller set to true"
        found.append(invalid_value(field, references, why))
    return found


def _shape_causes(metadata: Object) -> list[Cause]:
    found = []
    for name, outer, inner, words in (
        ("labels", dict, str, "an object of strings"),
        ("annotations", dict, str, "an object of strings"),
        ("ownerReferences", list, dict, "an array of objects"),
        ("finalizers", list, str, "an array of strings"),
    ):
        value = metadata.get(name)
        if value is None:
            continue
        items: Any = value.values() if isinstance(value, dict) else value
        if not isinstance(value, outer) or not all(isinstance(item, inner) for item in items):
            found.append(invalid_value(f"metadata.{name}", value, f"must be {words}"))
    return found


def _key_causes(field: str, key: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    found = _pattern_causes(
        name, field, _QUALIFIED, _QUALIFIED_NAME, _LABEL_LENGTH, shown_value=key
    )
    if slash:
        if not prefix:
            found.append(invalid_value(field, key, "prefix part must be non-empty"))
        else:
            found += subdomain_causes(prefix, field)
    return found


def _pattern_causes(
    value: str, field: str, pattern: str, why: str, limit: int, *, shown_value: str | None = None
) -> list[Cause]:
    found = []
    given = value if shown_value is None else shown_value
    if len(value) > limit:
        found.append(invalid_value(field, given, f"must be no more than {limit} bytes"))
    if re.fullmatch(pattern, value, re.ASCII) is None:
        found.append(invalid_value(field, given, why))
    return found
