"""Roles, as kubectl meets them: the program with --rbac."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.apiserver import RunningApiServer, start_apiserver

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [mine], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: devs}]
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApiServer]:
    """A server that decides by roles, with a user anna whose group may read pods."""
    users = {"anna-token": {"username": "anna", "groups": ["devs"]}}
    directory = tmp_path_factory.mktemp("guarded")
    server = start_apiserver(directory, users=users, options=["--rbac", "--control"])
    server.kubectl("apply", "-f", "-", input=READER)
    yield server
    assert server.stop() == 0


def anna(server: RunningApiServer, *arguments: str) -> tuple[int, str]:
    """Return exit code and output of anna's kubectl."""
    done = server.kubectl("--token", "anna-token", *arguments, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("list", "pods"), "yes"),
        (("get", "pods", "--subresource=log"), "yes"),
        (("delete", "pods"), "no"),
        (("list", "pods", "-n", "kube-system"), "no"),
        (("list", "pods", "-A"), "no"),
        (("get", "configmaps/mine"), "yes"),
        (("get", "configmaps/yours"), "no"),
        (("get", "/version"), "yes"),
        (("get", "/metrics"), "no"),
    ],
)
def test_auth_can_i(guarded: RunningApiServer, arguments: tuple[str, ...], answer: str) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access"""
    code, said = anna(guarded, "auth", "can-i", *arguments)
    assert (code, said.splitlines()[-1]) == (0 if answer == "yes" else 1, answer)


def test_auth_can_i_list_shows_the_rules(guarded: RunningApiServer) -> None:
    code, said = anna(guarded, "auth", "can-i", "--list")
    rows = {" ".join(line.split()) for line in said.splitlines()}
    wanted = {
        "Resources Non-Resource URLs Resource Names Verbs",
        "pods/log [] [] [get list]",
        "configmaps [] [mine] [get]",
        "selfsubjectreviews.authentication.k8s.io [] [] [create]",
    }
    assert (code, wanted - rows) == (0, set())


def test_an_administrator_may_do_everything(guarded: RunningApiServer) -> None:
    assert guarded.kubectl("auth", "can-i", "*", "*", "-A").stdout == "yes\n"


def test_whoami(guarded: RunningApiServer) -> None:
    code, said = anna(guarded, "auth", "whoami", "-o", "json")
    info = json.loads(said)["status"]["userInfo"]
    assert (code, info) == (0, {"username": "anna", "groups": ["devs", "system:authenticated"]})


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("get", "pods"), 0, "No resources found in default namespace."),
        (
            ("delete", "pod", "a"),
            1,
            'Error from server (Forbidden): pods "a" is forbidden: User "anna" cannot delete '
            'resource "pods" in API group "" in the namespace "default"',
        ),
        (
            ("get", "nodes"),
            1,
            'Error from server (Forbidden): nodes is forbidden: User "anna" cannot list '
            'resource "nodes" in API group "" at the cluster scope',
        ),
    ],
)
def test_kubectl_says_who_may_not_do_what(
    guarded: RunningApiServer, arguments: tuple[str, ...], code: int, words: str
) -> None:
    assert anna(guarded, *arguments) == (code, f"{words}\n")


def test_a_review_of_another_user_says_which_binding_allows(guarded: RunningApiServer) -> None:
    attributes = {"namespace": "default", "verb": "list", "resource": "pods"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "bert", "groups": ["devs"], "resourceAttributes": attributes},
    }
    body = json.dumps(review)
    made = guarded.kubectl("create", "-f", "-", "-o", "json", "--validate=false", input=body)
    assert json.loads(made.stdout)["status"] == {
        "allowed": True,
        "reason": 'RBAC: allowed by RoleBinding "readers/default" of Role "reader" to Group "devs"',
    }


@pytest.mark.parametrize(
    ("who", "arguments", "answer"),
    [
        (("--as=bert", "--as-group=devs"), ("list", "pods"), "yes"),
        (("--as=bert",), ("list", "pods"), "no"),
        (("--as=system:serviceaccount:default:default",), ("list", "pods"), "no"),
        (("--as=system:node:a", "--as-group=system:nodes"), ("list", "nodes"), "yes"),
    ],
)
def test_an_administrator_may_ask_as_somebody_else(
    guarded: RunningApiServer, who: tuple[str, ...], arguments: tuple[str, ...], answer: str
) -> None:
    """https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/"""
    done = guarded.kubectl(*who, "auth", "can-i", *arguments, check=False)
    assert done.stdout.splitlines()[-1] == answer, done.stderr


def test_nobody_else_may_act_as_another(guarded: RunningApiServer) -> None:
    assert anna(guarded, "--as=bert", "get", "pods") == (
        1,
        'Error from server (Forbidden): users "bert" is forbidden: User "anna" cannot '
        'impersonate resource "users" in API group "" at the cluster scope\n',
    )


def test_the_record_names_what_anna_asked_for(guarded: RunningApiServer) -> None:
    anna(guarded, "get", "pods", "-n", "default")
    recorded = json.loads(guarded.kubectl("get", "--raw", "/control/requests").stdout)
    asked = {"verb": "list", "group": "", "resource": "pods", "subresource": "", "path": ""}
    assert {**asked, "namespace": "default"} in recorded["users"]["anna"]
