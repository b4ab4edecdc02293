"""Paths of the Kubernetes API."""

import pytest

from aggregator.kube.resources import (
    GAMESERVERS,
    NODES,
    PODS,
    TOKENREVIEWS,
    ObjectKey,
    ObjectReference,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(PODS.path(), "/api/v1/pods", id="core, all namespaces"),
        pytest.param(PODS.path(""), "/api/v1/pods", id="empty namespace means all"),
        pytest.param(PODS.path("games"), "/api/v1/namespaces/games/pods", id="one namespace"),
        pytest.param(
            GAMESERVERS.path_of(ObjectKey("games", "a-0"), "status"),
            "/apis/game.kruise.io/v1alpha1/namespaces/games/gameservers/a-0/status",
            id="subresource",
        ),
        pytest.param(NODES.path_of(ObjectKey("", "n1")), "/api/v1/nodes/n1", id="cluster-scoped"),
        pytest.param(
            TOKENREVIEWS.path(),
            "/apis/authentication.k8s.io/v1/tokenreviews",
            id="cluster-scoped collection",
        ),
        pytest.param(
            PODS.path("games", "a/../b?c"),
            "/api/v1/namespaces/games/pods/a%2F..%2Fb%3Fc",
            id="a name cannot leave its place",
        ),
    ],
)
def test_a_path_names_exactly_what_was_asked_for(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: PODS.path(None, "a"), "Pod 'a' needs a namespace", id="no namespace"),
        pytest.param(lambda: NODES.path("games"), "Node has no namespace", id="not namespaced"),
        pytest.param(
            lambda: PODS.path("games", None, "status"), "needs a name", id="subresource of nothing"
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_object_reference_leaves_out_what_is_not_known() -> None:
    reference = ObjectReference(GAMESERVERS, ObjectKey("games", "a-0"))
    assert reference.render() == {
        "apiVersion": "game.kruise.io/v1alpha1",
        "kind": "GameServer",
        "namespace": "games",
        "name": "a-0",
    }
