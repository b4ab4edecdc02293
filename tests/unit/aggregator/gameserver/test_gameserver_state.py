"""The state of a server from its pod, and whom a GameServer speaks for (SPEC 1.2, 5.1)."""

import pytest

from aggregator.binding import claim_on, owner_pod_uid, speaks_for
from aggregator.gameserver.state import current_state, desired_state
from aggregator.pod_update import PodUpdate, render_update
from shared.api import names
from tests.support.builders import NOW, SET_UID, game_server, game_server_set, pod

PHASES = {
    "": "Creating",
    "Pending": "Creating",
    "Running": "Ready",
    "Failed": "Crash",
    "Succeeded": "Unknown",
    "Unknown": "Unknown",
    "Odd": "Unknown",
}


@pytest.mark.parametrize(("phase", "state"), PHASES.items())
def test_the_state_follows_the_phase(phase, state):
    assert current_state(pod(phase=phase), game_server()) == state


@pytest.mark.parametrize("phase", PHASES)
def test_deleting_beats_every_phase(phase):
    assert current_state(pod(phase=phase, terminating=True), game_server()) == "Deleting"
    assert current_state(pod(phase=phase), game_server(deleting=True)) == "Deleting"


@pytest.mark.parametrize("ready", [False, None], ids=["not ready", "no condition yet"])
def test_a_running_pod_is_ready_only_when_it_says_so(ready):
    assert current_state(pod(ready=ready), game_server()) == "NotReady"


def test_a_claim_is_a_wish_and_no_observation():
    claimed = game_server(deletion={"reason": "ScaleDown", "podUid": "pod-0"})
    assert (current_state(pod(), claimed), desired_state(claimed)) == ("Ready", "Deleting")
    assert desired_state(game_server()) == "Ready"


CLAIM = {"reason": "ScaleDown", "podUid": "pod-0"}
HOOKED = game_server_set(lifecycle={"preDelete": {"labelsHandler": {"drain": "me"}}})


@pytest.mark.parametrize(
    ("labels", "deletion", "owner", "state"),
    [
        pytest.param({"drain": "me"}, CLAIM, HOOKED, "PreDelete", id="claimed and held"),
        pytest.param({}, CLAIM, HOOKED, "Ready", id="claimed, the hook let it go"),
        pytest.param({"drain": "me"}, None, HOOKED, "Ready", id="not claimed"),
        pytest.param({"drain": "me"}, CLAIM, game_server_set(), "Ready", id="no hook"),
        pytest.param({"drain": "me"}, CLAIM, None, "Ready", id="no set"),
    ],
)
def test_a_claimed_server_that_a_hook_holds_is_pre_delete(labels, deletion, owner, state):
    assert current_state(pod(labels=labels), game_server(deletion=deletion), owner) == state


@pytest.mark.parametrize(
    ("phase", "terminating", "state"),
    [
        ("Running", False, "PreUpdate"),
        ("Pending", False, "PreUpdate"),
        ("Failed", False, "Crash"),
        ("Running", True, "Deleting"),
    ],
)
def test_an_update_shows_while_the_pod_lives(phase, terminating, state):
    text = render_update(PodUpdate("InPlace", "new", NOW))
    annotations = {names.UPDATE_ANNOTATION: text}
    marked = pod(phase=phase, terminating=terminating, annotations=annotations)
    assert current_state(marked, game_server()) == state


@pytest.mark.parametrize(
    ("server", "speaks", "claimed"),
    [
        pytest.param(game_server(pod_uid="pod-0"), True, None, id="its own"),
        pytest.param(game_server(pod_uid="older"), False, None, id="that of an older pod"),
        pytest.param(game_server(deletion=CLAIM), True, "ScaleDown", id="its own, claimed"),
        pytest.param(
            game_server(pod_uid="older", deletion=CLAIM), False, None, id="an older pod's claim"
        ),
        pytest.param(game_server(pod_uid=None), True, None, id="Delete: outlives its pods"),
        pytest.param(
            game_server(pod_uid=None, deletion=CLAIM), True, "ScaleDown", id="Delete: claimed"
        ),
        pytest.param(
            game_server(pod_uid=None, deletion=CLAIM | {"podUid": "older"}),
            False,
            None,
            id="Delete: an older pod was claimed",
        ),
        pytest.param(
            game_server(pod_uid=None, deletion=CLAIM | {"podUid": ""}),
            True,
            "ScaleDown",
            id="Delete: a claim without uid is for whoever has the name",
        ),
    ],
)
def test_a_server_speaks_for_one_pod(server, speaks, claimed):
    assert (speaks_for(server, pod()), claim_on(server, pod())) == (speaks, claimed)


@pytest.mark.parametrize(
    ("set_uid", "speaks"),
    [
        pytest.param(SET_UID, True, id="the same set"),
        pytest.param("later", False, id="the next set of this name"),
        pytest.param("", True, id="an orphan"),
    ],
)
def test_the_server_of_a_former_set_speaks_for_no_pod_of_the_next(set_uid, speaks):
    assert speaks_for(game_server(pod_uid=None), pod(owner_uid=set_uid)) is speaks


def test_no_server_has_no_claim_and_the_set_is_no_pod():
    assert claim_on(None, pod()) is None
    assert owner_pod_uid(game_server(pod_uid=None)) == ""
