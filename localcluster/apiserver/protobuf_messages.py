"""The fields of the objects that kubectl sends as protobuf: numbers and JSON names. Pure.

Source: the generated.proto files of k8s.io/api and k8s.io/apimachinery
"""

from __future__ import annotations

from typing import Any

from localcluster.apiserver.protobuf_wire import (
    Field,
    Message,
    base64_text,
    flag,
    integer,
    mapping,
    nested,
    number,
    read,
    string,
    strings,
    time,
)

_OWNER_REFERENCE: Message = {
    1: string("kind"),
    3: string("name"),
    4: string("uid"),
    5: string("apiVersion"),
    6: flag("controller"),
    7: flag("blockOwnerDeletion"),
}
_METADATA = nested(
    "metadata",
    {
        1: string("name"),
        2: string("generateName"),
        3: string("namespace"),
        5: string("uid"),
        6: string("resourceVersion"),
        8: Field("creationTimestamp", time),
        11: mapping("labels"),
        12: mapping("annotations"),
        13: nested("ownerReferences", _OWNER_REFERENCE, repeated=True),
        14: strings("finalizers"),
    },
)
_RESOURCE_ATTRIBUTES: Message = {
    number: string(name)
    for number, name in enumerate(
        ("namespace", "verb", "group", "version", "resource", "subresource", "name"), start=1
    )
}
_BOUND_OBJECT: Message = {
    1: string("kind"),
    2: string("apiVersion"),
    3: string("name"),
    4: string("uid"),
}

_DELETE_OPTIONS: Message = {
    1: number("gracePeriodSeconds"),
    2: nested("preconditions", {1: string("uid"), 2: string("resourceVersion")}),
    3: flag("orphanDependents"),
    4: string("propagationPolicy"),
    5: strings("dryRun"),
}
_RULE: Message = {
    1: strings("verbs"),
    2: strings("apiGroups"),
    3: strings("resources"),
    4: strings("resourceNames"),
    5: strings("nonResourceURLs"),
}
_SUBJECT: Message = {
    1: string("kind"),
    2: string("apiGroup"),
    3: string("name"),
    4: string("namespace"),
}
_BINDING: Message = {
    1: _METADATA,
    2: nested("subjects", _SUBJECT, repeated=True),
    3: nested("roleRef", {1: string("apiGroup"), 2: string("kind"), 3: string("name")}),
}
_REQUIREMENT: Message = {1: string("key"), 2: string("operator"), 3: strings("values")}
_SELECTOR: Message = {
    1: mapping("matchLabels"),
    2: nested("matchExpressions", _REQUIREMENT, repeated=True),
}


def _quantity(value: Any) -> str:
    # A Quantity is a message that holds its text.
    held: str = read({1: string("text")}, value).get("text", "")
    return held


def _int_or_string(value: Any) -> int | str:
    held = read({1: number("type"), 2: number("int"), 3: string("text")}, value)
    shown: int | str = held.get("text", "") if held.get("type") else held.get("int", 0)
    return shown


_PORT: Message = {
    1: string("name"),
    2: string("protocol"),
    3: number("port"),
    4: Field("targetPort", _int_or_string),
    # Zero is none here, as Go's JSON leaves it out.
    5: Field("nodePort", lambda value: integer(value) or None),
    6: string("appProtocol"),
}
_SERVICE: Message = {
    1: nested("ports", _PORT, repeated=True),
    2: mapping("selector"),
    3: string("clusterIP"),
    4: string("type"),
    7: string("sessionAffinity"),
    10: string("externalName"),
}
KINDS: dict[str, Message] = {
    "Namespace": {1: _METADATA, 2: nested("spec", {1: strings("finalizers")})},
    "ConfigMap": {1: _METADATA, 2: mapping("data"), 3: mapping("binaryData", base64_text)},
    "Secret": {
        1: _METADATA,
        2: mapping("data", base64_text),
        3: string("type"),
        4: mapping("stringData"),
        5: flag("immutable"),
    },
    "ServiceAccount": {1: _METADATA, 4: flag("automountServiceAccountToken")},
    "ResourceQuota": {
        1: _METADATA,
        2: nested("spec", {1: mapping("hard", _quantity)}),
    },
    "Service": {1: _METADATA, 2: nested("spec", _SERVICE)},
    "PodDisruptionBudget": {
        1: _METADATA,
        2: nested(
            "spec",
            {
                1: Field("minAvailable", _int_or_string),
                2: nested("selector", _SELECTOR),
                3: Field("maxUnavailable", _int_or_string),
                4: string("unhealthyPodEvictionPolicy"),
            },
        ),
    },
    "Role": {1: _METADATA, 2: nested("rules", _RULE, repeated=True)},
    "ClusterRole": {1: _METADATA, 2: nested("rules", _RULE, repeated=True)},
    "RoleBinding": _BINDING,
    "ClusterRoleBinding": _BINDING,
    "TokenRequest": {
        1: _METADATA,
        2: nested(
            "spec",
            {
                1: strings("audiences"),
                3: nested("boundObjectRef", _BOUND_OBJECT),
                4: number("expirationSeconds"),
            },
        ),
    },
    "SelfSubjectReview": {1: _METADATA},
    "SelfSubjectAccessReview": {
        1: _METADATA,
        2: nested(
            "spec",
            {
                1: nested("resourceAttributes", _RESOURCE_ATTRIBUTES),
                2: nested("nonResourceAttributes", {1: string("path"), 2: string("verb")}),
            },
        ),
    },
    "SelfSubjectRulesReview": {1: _METADATA, 2: nested("spec", {1: string("namespace")})},
    "DeleteOptions": _DELETE_OPTIONS,
    "Eviction": {1: _METADATA, 2: nested("deleteOptions", _DELETE_OPTIONS)},
}
