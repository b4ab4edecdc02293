"""Requests, roles and bindings: who may do what."""

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from localcluster.apiserver.attributes import Attributes, parse_attributes
from localcluster.apiserver.authentication import User
from localcluster.apiserver.authorization import Authorizer, denied
from localcluster.apiserver.bootstrap_roles import bootstrap_objects
from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.impersonation import impersonated
from localcluster.apiserver.label_selector import selects
from localcluster.apiserver.rbac import RBAC_GROUP, RoleAuthorizer, allows
from localcluster.apiserver.store import Store

ANNA = User("anna", ("devs", "system:authenticated"))
AGENT = User("system:serviceaccount:games:agent", ("system:serviceaccounts",))


@pytest.mark.parametrize(
    ("method", "url", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, Attributes("list", "", "pods")),
        ("GET", "/api/v1/pods", {"watch": "true"}, Attributes("watch", "", "pods")),
        (
            "GET", "/api/v1/namespaces/a/pods/p", {},
            Attributes("get", "", "pods", "", "a", "p"),
        ),
        (
            "GET", "/api/v1/namespaces/a/pods", {"fieldSelector": "metadata.name=p"},
            Attributes("list", "", "pods", "", "a", "p"),
        ),
        (
            "POST", "/api/v1/namespaces/a/pods/p/eviction", {},
            Attributes("create", "", "pods", "eviction", "a", "p"),
        ),
        (
            "PUT", "/apis/g.dev/v1/namespaces/a/rooms/r/status", {},
            Attributes("update", "g.dev", "rooms", "status", "a", "r"),
        ),
        (
            "PATCH", "/apis/g.dev/v1/rooms/r", {},
            Attributes("patch", "g.dev", "rooms", "", "", "r"),
        ),
        (
            "DELETE", "/api/v1/namespaces/a/pods", {},
            Attributes("deletecollection", "", "pods", "", "a"),
        ),
        (
            "DELETE", "/api/v1/namespaces/a", {},
            Attributes("delete", "", "namespaces", "", "a", "a"),
        ),
        ("GET", "/api/v1/namespaces", {}, Attributes("list", "", "namespaces")),
        (
            "GET", "/api/v1/namespaces/a/status", {},
            Attributes("get", "", "namespaces", "status", "a", "a"),
        ),
        ("GET", "/version", {}, Attributes("get", path="/version")),
        ("GET", "/apis/g.dev/v1", {}, Attributes("get", path="/apis/g.dev/v1")),
    ],
)  # fmt: skip
def test_what_a_request_is_about(
    method: str, url: str, query: dict[str, str], expected: Attributes
) -> None:
    assert parse_attributes(method, url, query) == expected


GET_POD = Attributes("get", "", "pods", "", "games", "p")
GET_LOG = Attributes("get", "", "pods", "log", "games", "p")
VERSION = Attributes("get", path="/version/x")


@pytest.mark.parametrize(
    ("rule", "asked", "expected"),
    [
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, GET_POD, True),
        ({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}, GET_POD, False),
        ({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["pods"]}, GET_POD, False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, GET_LOG, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}, GET_LOG, False),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}, GET_LOG, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["*/log"]}, GET_LOG, True),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}, GET_POD, False),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]},
            GET_POD, True,
        ),
        (
            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["q"]},
            GET_POD, False,
        ),
        ({"verbs": ["get"], "nonResourceURLs": ["/version/*"]}, VERSION, True),
        ({"verbs": ["get"], "nonResourceURLs": ["/version"]}, VERSION, False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, VERSION, False),
    ],
)  # fmt: skip
def test_what_a_rule_covers(rule: Any, asked: Attributes, *, expected: bool) -> None:
    assert allows(rule, asked) == expected


def store_of(*objects: tuple[str, dict[str, Any]]) -> Store:
    store = Store(1)
    for plural, given in objects:
        metadata = {"namespace": "", **given["metadata"]}
        key = (metadata["namespace"], metadata["name"])
        store.put((RBAC_GROUP, plural), key, {**given, "metadata": metadata, "apiVersion": "v1"})
    return store


def role(name: str, verb: str, namespace: str = "", **more: Any) -> tuple[str, dict[str, Any]]:
    rule = {"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}
    metadata = {"name": name, "namespace": namespace, **more}
    return ("roles" if namespace else "clusterroles"), {"metadata": metadata, "rules": [rule]}


def binding(
    name: str, kind: str, reference: str, subject: dict[str, str], namespace: str = ""
) -> tuple[str, dict[str, Any]]:
    plural = "rolebindings" if namespace else "clusterrolebindings"
    return plural, {
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"kind": kind, "name": reference},
        "subjects": [subject],
    }


USER = {"kind": "User", "name": "anna"}
GROUP = {"kind": "Group", "name": "devs"}
ACCOUNT = {"kind": "ServiceAccount", "name": "agent", "namespace": "games"}


@pytest.mark.parametrize(
    ("objects", "user", "asked", "reason"),
    [
        pytest.param([], ANNA, GET_POD, None, id="nothing bound"),
        pytest.param(
            [role("reader", "get"), binding("b", "ClusterRole", "reader", USER)],
            ANNA, GET_POD,
            'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "reader" to User "anna"',
            id="cluster-wide",
        ),
        pytest.param(
            [role("reader", "get", "games"), binding("b", "Role", "reader", GROUP, "games")],
            ANNA, GET_POD,
            'RBAC: allowed by RoleBinding "b/games" of Role "reader" to Group "devs"',
            id="role of the namespace",
        ),
        pytest.param(
            [role("reader", "get"), binding("b", "ClusterRole", "reader", ACCOUNT, "games")],
            AGENT, GET_POD,
            'RBAC: allowed by RoleBinding "b/games" of ClusterRole "reader" '
            'to ServiceAccount "agent/games"',
            id="cluster role in one namespace",
        ),
        pytest.param(
            [role("reader", "get", "other"), binding("b", "Role", "reader", USER, "other")],
            ANNA, GET_POD, None, id="another namespace",
        ),
        pytest.param(
            [binding("b", "ClusterRole", "absent", USER)], ANNA, GET_POD, None, id="absent role"
        ),
        pytest.param(
            [role("reader", "get"), binding("b", "ClusterRole", "reader", USER)],
            AGENT, GET_POD, None, id="another user",
        ),
        pytest.param(
            [
                role("part", "get", labels={"to": "all"}),
                ("clusterroles", {
                    "metadata": {"name": "all"},
                    "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]},
                }),
                binding("b", "ClusterRole", "all", USER),
            ],
            ANNA, GET_POD,
            'RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "all" to User "anna"',
            id="aggregated",
        ),
    ],
)  # fmt: skip
def test_bindings_give_rights(
    objects: Any, user: User, asked: Attributes, reason: str | None
) -> None:
    decision = RoleAuthorizer(store_of(*objects)).decide(user, asked)
    assert (decision.allowed, decision.reason) == (reason is not None, reason or "")


@pytest.mark.parametrize(
    ("user", "asked", "allowed"),
    [
        (User("root", ("system:masters",)), Attributes("delete", "", "nodes"), True),
        (ANNA, Attributes("get", path="/apis/apps/v1"), True),
        (ANNA, Attributes("get", path="/metrics"), False),
        (
            ANNA,
            Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews"),
            True,
        ),
        (User("system:node:a", ("system:nodes",)), GET_POD, True),
        (User("system:node:a", ("system:nodes",)), Attributes("list", "apps", "x"), False),
    ],
)
def test_the_roles_of_the_start(user: User, asked: Attributes, *, allowed: bool) -> None:
    store = store_of(*bootstrap_objects())
    assert RoleAuthorizer(store).decide(user, asked).allowed == allowed


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            GET_LOG,
            'pods "p" is forbidden: User "anna" cannot get resource "pods/log" '
            'in API group "" in the namespace "games"',
        ),
        (
            Attributes("list", "g.dev", "rooms"),
            'rooms.g.dev is forbidden: User "anna" cannot list resource "rooms" '
            'in API group "g.dev" at the cluster scope',
        ),
        (VERSION, 'forbidden: User "anna" cannot get path "/version/x"'),
    ],
)
def test_a_refusal_says_who_may_not_do_what(asked: Attributes, message: str) -> None:
    assert denied(ANNA, asked).message == message


def test_the_record_holds_each_thing_once_and_refusals_too() -> None:
    authorizer = Authorizer(RoleAuthorizer(store_of()))
    for _ in range(2):
        with pytest.raises(ApiError):
            authorizer.authorize(ANNA, GET_POD)
    row = {"verb": "get", "group": "", "resource": "pods", "subresource": "", "path": ""}
    assert authorizer.asked() == {"anna": [{**row, "namespace": "games"}]}
    authorizer.forget()
    assert authorizer.asked() == {}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"a": "1"}}, True),
        ({"matchLabels": {"a": "1", "b": "1"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, False),
        ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["0"]}]}, False),
    ],
)
def test_selectors_in_objects(selector: Any, *, expected: bool) -> None:
    assert selects(selector, {"a": "1"}) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], User("root", ("system:masters",))),
        ([("Impersonate-User", "bert")], User("bert", ("system:authenticated",))),
        (
            [("Impersonate-User", "bert"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")],
            User("bert", ("a", "b", "system:authenticated")),
        ),
        (
            [("Impersonate-User", "system:serviceaccount:games:agent")],
            User(
                "system:serviceaccount:games:agent",
                ("system:serviceaccounts", "system:serviceaccounts:games", "system:authenticated"),
            ),
        ),
        (
            [
                ("Impersonate-User", "bert"),
                ("Impersonate-Uid", "u"),
                ("Impersonate-Extra-A%2Fb", "1"),
                ("Impersonate-Extra-A%2Fb", "2"),
            ],
            User("bert", ("system:authenticated",), "u", (("a/b", ("1", "2")),)),
        ),
    ],
)
def test_who_a_request_is_from(headers: list[tuple[str, str]], expected: User) -> None:
    root = User("root", ("system:masters",))
    authorizer = Authorizer(RoleAuthorizer(store_of()))
    assert impersonated(root, CIMultiDictProxy(CIMultiDict(headers)), authorizer) == expected


def test_a_group_alone_cannot_be_impersonated() -> None:
    headers = CIMultiDictProxy(CIMultiDict([("Impersonate-Group", "a")]))
    with pytest.raises(ApiError) as refused:
        impersonated(ANNA, headers, Authorizer(None))
    assert refused.value.code == 500
