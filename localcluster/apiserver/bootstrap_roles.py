"""The roles that a cluster with RBAC has from its start, as data. Pure.

Of the real server's many, those that people and programs lean on without making them: full rights,
discovery, asking about oneself, and the node's own. A real cluster judges nodes by a program of its
own (the node authorizer); here they get a role, which also has the scheduler's right to bind,
because the local kubelet takes pods itself.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.apiserver.authentication import AUTHENTICATED
from localcluster.apiserver.rbac import MASTERS, RBAC_GROUP

if TYPE_CHECKING:
    from localcluster.apiserver.objects import Object

_READ = ["get", "list", "watch"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version"]
_HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_SELF_REVIEWS = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]


def _rule(verbs: list[str], resources: list[str], group: str = "") -> Object:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources}


def _urls(paths: list[str]) -> Object:
    return {"verbs": ["get"], "nonResourceURLs": paths}


_NODE_RULES = [
    _rule(["create", *_READ, "patch", "update"], ["nodes"]),
    _rule(["get", "patch", "update"], ["nodes/status", "pods/status"]),
    _rule([*_READ, "create", "delete"], ["pods"]),
    _rule(["create"], ["pods/binding", "pods/eviction", "serviceaccounts/token"]),
    _rule(_READ, ["configmaps", "secrets", "services", "serviceaccounts"]),
    _rule(["get", "list", "watch", "patch", "update"], ["persistentvolumeclaims",
          "persistentvolumeclaims/status", "persistentvolumes"]),
    _rule(["create", "get", "patch", "update"], ["events"]),
    _rule(["create", "get", "patch", "update", "delete"], ["leases"], "coordination.k8s.io"),
    _rule(["create"], ["tokenreviews"], "authentication.k8s.io"),
    _rule(["create"], ["subjectaccessreviews"], "authorization.k8s.io"),
]  # fmt: skip

# Name, rules, and the group that has them.
_ROLES: tuple[tuple[str, list[Object], str], ...] = (
    (
        "cluster-admin",
        [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            {"verbs": ["*"], "nonResourceURLs": ["*"]},
        ],
        MASTERS,
    ),
    ("system:discovery", [_urls([*_DISCOVERY, *_HEALTH])], AUTHENTICATED),
    (
        "system:basic-user",
        [
            _rule(["create"], _SELF_REVIEWS, "authorization.k8s.io"),
            _rule(["create"], ["selfsubjectreviews"], "authentication.k8s.io"),
        ],
        AUTHENTICATED,
    ),
    ("system:public-info-viewer", [_urls(_HEALTH)], AUTHENTICATED),
    ("system:node", _NODE_RULES, "system:nodes"),
)


def bootstrap_objects() -> list[tuple[str, Object]]:
    """Return the plural and the object of every ClusterRole and ClusterRoleBinding."""
    made: list[tuple[str, Object]] = []
    for name, rules, group in _ROLES:
        made.append(("clusterroles", {"metadata": _metadata(name), "rules": rules}))
        binding: Object = {
            "metadata": _metadata(name),
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": RBAC_GROUP, "kind": "Group", "name": group}],
        }
        made.append(("clusterrolebindings", binding))
    return made


def _metadata(name: str) -> Any:
    return {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
