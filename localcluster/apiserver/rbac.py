"""Role-based access control: may this user do that? Reads the store, no I/O.

Roles only ever add rights, so one matching rule is enough: first those of the cluster-wide
bindings, then those of the namespace. Not here: the checks against escalation when roles
themselves are written (the verbs bind and escalate).

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/ and k8s.io/kubernetes
plugin/pkg/auth/authorizer/rbac/rbac.go (reasons), pkg/registry/rbac/validation/rule.go
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcluster.apiserver.label_selector import selects
from localcluster.apiserver.objects import dig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localcluster.apiserver.attributes import Attributes
    from localcluster.apiserver.authentication import User
    from localcluster.apiserver.objects import Object
    from localcluster.apiserver.store import CollectionKey, Store

RBAC_GROUP = "rbac.authorization.k8s.io"
MASTERS = "system:masters"
_ROLES: CollectionKey = (RBAC_GROUP, "roles")
_CLUSTER_ROLES: CollectionKey = (RBAC_GROUP, "clusterroles")
_ROLE_BINDINGS: CollectionKey = (RBAC_GROUP, "rolebindings")
_CLUSTER_ROLE_BINDINGS: CollectionKey = (RBAC_GROUP, "clusterrolebindings")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request may go on.

    Args:
        allowed: what it says.
        reason: which binding allowed it; empty when none did.
    """

    allowed: bool
    reason: str = ""


class RoleAuthorizer:
    """Decides by the roles and bindings in the store.

    Args:
        store: is only read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def decide(self, user: User, attributes: Attributes) -> Decision:
        """Return whether `user` may make the request."""
        if MASTERS in user.groups:
            return Decision(allowed=True)
        for rules, told in self._granted(user, attributes.namespace):
            if any(allows(rule, attributes) for rule in rules):
                return Decision(allowed=True, reason=f"RBAC: allowed by {told}")
        return Decision(allowed=False)

    def rules(self, user: User, namespace: str) -> list[Object]:
        """Return every PolicyRule that applies to `user` in a namespace."""
        if MASTERS in user.groups:
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
        return [rule for rules, _ in self._granted(user, namespace) for rule in rules]

    def _granted(self, user: User, namespace: str) -> Iterator[tuple[Sequence[Object], str]]:
        """Yield the rules that bindings give `user`, each with the binding in words."""
        for binding in self._all(_CLUSTER_ROLE_BINDINGS):
            yield from self._by(binding, user, "")
        if namespace:
            for binding in self._all(_ROLE_BINDINGS):
                if binding["metadata"]["namespace"] == namespace:
                    yield from self._by(binding, user, namespace)

    def _by(
        self, binding: Object, user: User, namespace: str
    ) -> Iterator[tuple[Sequence[Object], str]]:
        for subject in binding.get("subjects") or []:
            if _is_subject(subject, user, namespace):
                reference = binding.get("roleRef") or {}
                name = binding["metadata"]["name"]
                kind, place = ("RoleBinding", f"/{namespace}") if namespace else (
                    "ClusterRoleBinding", ""
                )  # fmt: skip
                told = (
                    f'{kind} "{name}{place}" of {reference.get("kind")} '
                    f'"{reference.get("name")}" to {_subject_in_words(subject)}'
                )
                yield self._rules_of(reference, namespace), told
                return

    def _rules_of(self, reference: Object, namespace: str) -> Sequence[Object]:
        name = str(reference.get("name"))
        if reference.get("kind") == "Role":
            stored = self._store.get(_ROLES, (namespace, name))
        else:
            stored = self._store.get(_CLUSTER_ROLES, ("", name))
        if stored is None:
            return ()
        selectors = dig(stored.object, "aggregationRule", "clusterRoleSelectors") or []
        rules: list[Object] = list(stored.object.get("rules") or [])
        for role in self._all(_CLUSTER_ROLES) if selectors else ():
            labels = role["metadata"].get("labels") or {}
            if any(selects(selector, labels) for selector in selectors):
                rules += role.get("rules") or []
        return rules

    def _all(self, collection: CollectionKey) -> list[Object]:
        return [stored.object for stored in self._store.collection(collection).objects.values()]


def allows(rule: Object, attributes: Attributes) -> bool:
    """Return whether one PolicyRule covers a request."""
    if not _names(rule.get("verbs"), attributes.verb):
        return False
    if attributes.path:
        return any(_covers(url, attributes.path) for url in rule.get("nonResourceURLs") or [])
    names = rule.get("resourceNames") or []
    return (
        _names(rule.get("apiGroups"), attributes.group)
        and _covers_resource(rule.get("resources") or [], attributes)
        and (not names or attributes.name in names)
    )


def _names(listed: Any, wanted: str) -> bool:
    return "*" in (listed or ()) or wanted in (listed or ())


def _covers_resource(listed: list[str], attributes: Attributes) -> bool:
    wanted = {"*", attributes.qualified_resource}
    if attributes.subresource:
        wanted.add(f"*/{attributes.subresource}")
    return not wanted.isdisjoint(listed)


def _covers(url: str, path: str) -> bool:
    return path.startswith(url[:-1]) if url.endswith("*") else path == url


def _is_subject(subject: Object, user: User, namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "Group":
        return name in user.groups
    if kind == "ServiceAccount":
        place = subject.get("namespace") or namespace
        return bool(place) and user.name == f"system:serviceaccount:{place}:{name}"
    return kind == "User" and name == user.name


def _subject_in_words(subject: Object) -> str:
    place = f"/{subject['namespace']}" if subject.get("namespace") else ""
    return f'{subject.get("kind")} "{subject.get("name")}{place}"'
