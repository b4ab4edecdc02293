"""The CEL rules of our CRDs: what a schema's keywords cannot say (SPEC 1.3). Pure data.

Rules only say what one object, or one object and its predecessor, can be judged by; what needs
other objects, or a parser, is found by the aggregator and never stops scaling.

The API server estimates what a rule can cost at most and refuses the CRD above 10 million for one
rule, 100 million for all. So every list and string a rule walks has a bound in its schema, and a
rule about the keys of a map does not search in them: their length has no bound that the estimate
knows. That is why a label's key is judged by its length and its ends alone.

Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
(validation rules; resource use by validation functions) and
https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from shared.api import names
from shared.api.meta import INT32_MAX, INT32_MIN
from shared.protocol.paths import AGENT_CONTAINER_NAME

Schema = dict[str, Any]
Rule = dict[str, str]
KubernetesVersion = tuple[int, int]
"""Major and minor version of an API server."""

OLDEST_SUPPORTED: KubernetesVersion = (1, 29)
BOUNDED_TEXT: KubernetesVersion = (1, 34)
"""Since this version the estimate knows the maxLength of an int-or-string. Before, it took such a
text for as long as a request, 3 MiB, and refused the CRD of every rule that reads the text through.
Source: https://github.com/kubernetes/kubernetes/pull/132837"""

ITEMS = "[]"
"""The step of a path that leads from a list to its items."""

# A DNS subdomain of 253, a slash, and a name of 63.
_MAX_KEY = 317
_RANGE_ENDS = "int(self.split('-')[0]) <= int(self.split('-')[1])"

_RESERVE: Rule = {
    "rule": (f"type(self) == int || ({_RANGE_ENDS} && int(self.split('-')[1]) <= {INT32_MAX})"),
    "message": f'must be an id, or a range "a-b" with a <= b, from 0 to {INT32_MAX}',
}
_PRIORITY: Rule = {
    "rule": f"type(self) == int || (int(self) >= {INT32_MIN} && int(self) <= {INT32_MAX})",
    "message": f"must be a whole number from {INT32_MIN} to {INT32_MAX}",
}
_ONE_HANDLER: Rule = {
    "rule": (
        "[has(self.exec), has(self.httpGet), has(self.tcpSocket), has(self.grpc)].exists_one(x, x)"
    ),
    "message": "must have exactly one of exec, httpGet, tcpSocket, grpc",
}
_CONTAINER_NEEDED: Rule = {
    "rule": (
        "!has(self.serviceQualities) || self.gameServerTemplate.spec.containers.size() == 1 || "
        "self.serviceQualities.all(q, has(q.containerName))"
    ),
    "message": "containerName is required, because the template has several containers",
    "fieldPath": ".serviceQualities",
}
_CONTAINER_KNOWN: Rule = {
    "rule": (
        "!has(self.serviceQualities) || self.serviceQualities.all(q, !has(q.containerName) || "
        "self.gameServerTemplate.spec.containers.exists(c, c.name == q.containerName))"
    ),
    "message": "containerName must name a container of the template",
    "fieldPath": ".serviceQualities",
}
_NOT_THE_AGENT: Rule = {
    "rule": f"self.name != '{AGENT_CONTAINER_NAME}'",
    "message": f"{AGENT_CONTAINER_NAME} is reserved for the agent; choose another name",
    "fieldPath": ".name",
}
_LEGAL_KEYS: Rule = {
    "rule": (
        f"self.all(key, key.size() >= 1 && key.size() <= {_MAX_KEY} && "
        "!key.startsWith('/') && !key.endsWith('/'))"
    ),
    "message": (
        f"a key must be NAME or PREFIX/NAME with at most {_MAX_KEY} characters, "
        "and neither part may be empty"
    ),
}
# Holds also for a write that drops the claim: a client that does not know the field drops it with
# every replacement of the object.
_CLAIMED_STATE_STAYS: Rule = {
    "rule": "!has(oldSelf.deletion) || self.opsState == oldSelf.opsState",
    "message": "the server is being deleted: opsState cannot change",
    "fieldPath": ".opsState",
}
# Of two that claim one server, or of a former leader and the present one, the first wins: what a
# claim costs depends on its reason. RFC 6902 has no test for absence, so the rule stands here.
_CLAIM_IS_FINAL: Rule = {
    "rule": (
        "!has(oldSelf.deletion) || (has(self.deletion) ? self.deletion == oldSelf.deletion : "
        "oldSelf.deletion.reason == 'ScaleDown')"
    ),
    "message": (
        "the server is being deleted: deletion cannot be replaced, "
        "and only that of a ScaleDown can be taken back"
    ),
    "fieldPath": ".deletion",
}

# A count; a decimal from 1 on, which is a count rounded up; a share strictly between 0 and 1; a
# percentage strictly between 0 and 100.
_COUNT = r"0|[1-9][0-9]{0,8}([.][0-9]{1,6})?"
_SHARE = r"0[.][0-9]{0,5}[1-9][0-9]{0,5}"
_PERCENT = r"([1-9][0-9]?([.][0-9]{1,6})?|0[.][0-9]{0,5}[1-9][0-9]{0,5})%"
_AMOUNT_PATTERN = f"^({_COUNT}|{_SHARE}|{_PERCENT})$"
_AMOUNT: Rule = {
    "rule": f"type(self) == int || self.matches('{_AMOUNT_PATTERN}')",
    "message": 'must be a whole number such as 3, or a share such as "20%" or "0.2"',
}
_CRON: Rule = {
    "rule": "self.matches('^[^ ]+( +[^ ]+){4}$')",
    "message": "must have five fields: minute, hour, day of month, month, day of week",
}
_MIN_BELOW_MAX: Rule = {
    "rule": "self.minReplicas <= self.maxReplicas",
    "message": "minReplicas must not be above maxReplicas",
    "fieldPath": ".minReplicas",
}
_AVAILABLE_IN_ORDER: Rule = {
    "rule": (
        "!has(self.minAvailable) || !has(self.maxAvailable) || type(self.minAvailable) != int || "
        "type(self.maxAvailable) != int || int(self.minAvailable) <= int(self.maxAvailable)"
    ),
    "message": "minAvailable must not be above maxAvailable",
    "fieldPath": ".minAvailable",
}
_SHARE_OF_SOMETHING: Rule = {
    "rule": (
        "!has(self.minAvailable) || type(self.minAvailable) == int || "
        "!(self.minAvailable.endsWith('%') || self.minAvailable.startsWith('0.')) || "
        "self.minReplicas >= 1 || self.minAvailableFloor >= 1"
    ),
    "message": (
        "a share of no servers is none, so an empty set would stay empty: "
        "set minReplicas or minAvailableFloor to 1 or more"
    ),
    "fieldPath": ".minAvailable",
}
_NOBODY_INSIDE: Rule = {
    "rule": "!(self in ['Allocated', 'Maintaining', 'Kill'])",
    "message": "a server with this opsState is not idle; it would be removed with its players",
}
_WINDOWS_FIT: Rule = {
    "rule": (
        "!has(self.schedules) || self.schedules.all(s, !has(s.minReplicas) || "
        "s.minReplicas <= self.maxReplicas)"
    ),
    "message": "the minReplicas of a schedule must not be above maxReplicas",
    "fieldPath": ".schedules",
}
_OVERRIDES_SOMETHING: Rule = {
    "rule": "has(self.minAvailable) || has(self.maxAvailable) || has(self.minReplicas)",
    "message": "must set minAvailable, maxAvailable or minReplicas",
}
_TARGET_STAYS: Rule = {
    "rule": "self == oldSelf",
    "message": "cannot change; make another autoscaler for another set",
}

# Rules that read the text of an int-or-string through, and what an older API server gets instead.
# A pattern answers with itself; a range the wrong way round has to be found by the aggregator.
_READ_THROUGH: tuple[tuple[Rule, Schema], ...] = (
    (_RESERVE, {}),
    (_AMOUNT, {"pattern": _AMOUNT_PATTERN}),
)

_TEMPLATE = ("gameServerTemplate",)
_RULES: dict[str, tuple[tuple[tuple[str, ...], tuple[Rule, ...]], ...]] = {
    names.GAMESERVERSET_KIND: (
        ((), (_CONTAINER_NEEDED, _CONTAINER_KNOWN)),
        (("reserveGameServerIds", ITEMS), (_RESERVE,)),
        (("serviceQualities", ITEMS), (_ONE_HANDLER,)),
        ((*_TEMPLATE, "spec", "containers", ITEMS), (_NOT_THE_AGENT,)),
        ((*_TEMPLATE, "spec", "initContainers", ITEMS), (_NOT_THE_AGENT,)),
        ((*_TEMPLATE, "metadata", "labels"), (_LEGAL_KEYS,)),
        ((*_TEMPLATE, "metadata", "annotations"), (_LEGAL_KEYS,)),
    ),
    names.AUTOSCALER_KIND: (
        ((), (_MIN_BELOW_MAX, _AVAILABLE_IN_ORDER, _SHARE_OF_SOMETHING, _WINDOWS_FIT)),
        (("gameServerSetName",), (_TARGET_STAYS,)),
        (("supplyOpsStates", ITEMS), (_NOBODY_INSIDE,)),
        (("schedules", ITEMS), (_OVERRIDES_SOMETHING,)),
        (("minAvailable",), (_AMOUNT,)),
        (("maxAvailable",), (_AMOUNT,)),
        (("schedules", ITEMS, "minAvailable"), (_AMOUNT,)),
        (("schedules", ITEMS, "maxAvailable"), (_AMOUNT,)),
        (("schedules", ITEMS, "start"), (_CRON,)),
        (("schedules", ITEMS, "end"), (_CRON,)),
    ),
    names.GAMESERVER_KIND: (
        ((), (_CLAIMED_STATE_STAYS, _CLAIM_IS_FINAL)),
        (("updatePriority",), (_PRIORITY,)),
        (("deletionPriority",), (_PRIORITY,)),
    ),
}


def with_rules(kind: str, spec: Schema, server: KubernetesVersion) -> Schema:
    """Return the schema of a kind's spec with the rules of that kind.

    Args:
        kind: of the object.
        spec: its schema, which is not changed.
        server: version of the API server that is to take it.

    Raises:
        KeyError: a rule stands on a field that the schema does not declare.
    """
    schema = deepcopy(spec)
    for path, rules in _RULES[kind]:
        node = schema
        for step in path:
            node = node["items"] if step == ITEMS else node["properties"][step]
        node.update(_keywords(rules, server))
    return schema


def _keywords(rules: tuple[Rule, ...], server: KubernetesVersion) -> Schema:
    """Return what is added to a node that has these rules."""
    too_dear = [] if server >= BOUNDED_TEXT else [rule for rule, _ in _READ_THROUGH]
    told = [dict(rule) for rule in rules if rule not in too_dear]
    keywords: Schema = {"x-kubernetes-validations": told} if told else {}
    for rule, instead in _READ_THROUGH:
        if rule in too_dear and rule in rules:
            keywords |= instead
    return keywords
