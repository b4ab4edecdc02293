"""Tokens and rights as an API server with roles tells of them, not as a fake does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aggregator.intake.auth import NotAPod, TokenAuthenticator
from aggregator.kube.client import open_kube_client
from aggregator.kube.resources import ObjectKey
from aggregator.reviews import Unauthenticated
from aggregator.status.access import Forbidden, StatusAccess
from tests.support.apiserver import RunningApiServer, start_apiserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aggregator.kube.client import HttpKubeClient

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]

# anna's group may get the servers of one namespace; the service account viewer may get one server.
ROLES = """
apiVersion: v1
kind: Namespace
metadata: {name: games}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: viewer, namespace: games}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: readers, namespace: games}
rules:
- {apiGroups: [game.kruise.io], resources: [gameservers], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: games}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: readers}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: devs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: viewer, namespace: games}
rules:
- {apiGroups: [game.kruise.io], resources: [gameservers], resourceNames: [a-0], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: games}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: viewer}
subjects: [{kind: ServiceAccount, name: viewer, namespace: games}]
"""
ONE, OTHER = ObjectKey("games", "a-0"), ObjectKey("games", "a-1")
ALL_OF_GAMES, ELSEWHERE, EVERYWHERE = (
    ObjectKey("games", ""),
    ObjectKey("elsewhere", "a-0"),
    ObjectKey("", ""),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApiServer]:
    users = {"anna-token": {"username": "anna", "groups": ["devs"]}}
    server = start_apiserver(tmp_path_factory.mktemp("roles"), users=users, options=["--rbac"])
    server.kubectl("apply", "-f", "-", input=ROLES)
    yield server
    assert server.stop() == 0


@pytest.fixture
async def kube(guarded: RunningApiServer) -> AsyncIterator[HttpKubeClient]:
    async with open_kube_client(str(guarded.kubeconfig)) as client:
        yield client


def viewer_token(server: RunningApiServer, *options: str) -> str:
    return server.kubectl("create", "token", "viewer", "-n", "games", *options).stdout.strip()


async def allowed(access: StatusAccess, token: str) -> list[ObjectKey]:
    """Return what the owner of a token may read."""
    found = []
    for what in (ONE, OTHER, ALL_OF_GAMES, ELSEWHERE, EVERYWHERE):
        try:
            await access.check(token, what)
        except Forbidden:
            continue
        found.append(what)
    return found


async def test_each_may_read_what_their_roles_say(
    kube: HttpKubeClient, guarded: RunningApiServer
) -> None:
    access = StatusAccess(kube)
    assert await allowed(access, guarded.token) == [
        ONE,
        OTHER,
        ALL_OF_GAMES,
        ELSEWHERE,
        EVERYWHERE,
    ]
    assert await allowed(access, "anna-token") == [ONE, OTHER, ALL_OF_GAMES]
    assert await allowed(access, viewer_token(guarded)) == [ONE]


@pytest.mark.parametrize("audience", ["gamekeeper", "somebody-else"])
async def test_a_token_for_another_audience_opens_nothing(
    kube: HttpKubeClient, guarded: RunningApiServer, audience: str
) -> None:
    token = viewer_token(guarded, "--audience", audience)
    with pytest.raises(Unauthenticated):
        await StatusAccess(kube).check(token, ONE)


async def test_a_token_that_is_none_opens_nothing(kube: HttpKubeClient) -> None:
    for token in ("", "made up"):
        with pytest.raises(Unauthenticated):
            await StatusAccess(kube).check(token, ONE)


async def test_a_person_s_token_reports_for_no_server(
    kube: HttpKubeClient, guarded: RunningApiServer
) -> None:
    with pytest.raises(Unauthenticated):
        await TokenAuthenticator(kube)(viewer_token(guarded))
    with pytest.raises(NotAPod):
        await TokenAuthenticator(kube)(viewer_token(guarded, "--audience", "gamekeeper"))
