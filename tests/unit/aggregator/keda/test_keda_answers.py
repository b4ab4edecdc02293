"""What the external scaler remembers: how long something has been so."""

import pytest

from aggregator.keda.answers import Answers, NotReady, UnknownSet
from aggregator.keda.metadata import read_request
from aggregator.kube.resources import ObjectKey
from tests.support.keda_client import FakePorts
from tests.support.scaling import MARKED, Group, snapshot

KEY = ObjectKey("games", "minecraft")


class Clock:
    seconds = 1000.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("aggregator.keda.answers.monotonic_seconds", lambda: clock.seconds)
    return clock


def asked(**metadata):
    return read_request(KEY, metadata)


def test_an_answer_that_stays_above_the_spec_for_three_minutes_frees_the_marked(clock):
    ports = FakePorts({KEY: snapshot(Group(1), Group(9, MARKED))})
    answers = Answers(ports)
    request = asked(minAvailable="3")
    told = []
    for _ in range(8):
        told.append(answers.metric(request))
        clock.seconds += 30
    assert told == [12] * 6 + [1] * 2
    # The HPA followed: nine went, and there is room again.
    ports.sets[KEY] = snapshot(Group(1))
    assert answers.metric(request) == 3


def test_a_spec_that_follows_begins_the_three_minutes_again(clock):
    ports = FakePorts({KEY: snapshot(Group(1), Group(9, MARKED))})
    answers = Answers(ports)
    assert answers.metric(asked(minAvailable="3")) == 12
    clock.seconds += 170
    ports.sets[KEY] = snapshot(Group(1, "Allocated"), Group(1), Group(9, MARKED))
    assert answers.metric(asked(minAvailable="3")) == 13
    clock.seconds += 170
    assert answers.metric(asked(minAvailable="3")) == 13
    clock.seconds += 10
    assert answers.metric(asked(minAvailable="3")) == 2


def test_a_set_that_was_empty_for_a_minute_may_go_to_zero(clock):
    answers = Answers(FakePorts({KEY: snapshot(Group(2, MARKED))}))
    told = []
    for _ in range(4):
        told.append(answers.is_active(asked()))
        clock.seconds += 30
    assert told == [True, True, False, False]


def test_a_server_that_came_and_went_between_two_polls_breaks_the_minute(clock):
    ports = FakePorts({KEY: snapshot(Group(2, MARKED))})
    answers = Answers(ports)
    assert answers.is_active(asked())
    clock.seconds += 40
    ports.sets[KEY] = snapshot(Group(1, MARKED), Group(1, "Allocated"))
    answers.changed(KEY)
    ports.sets[KEY] = snapshot(Group(2, MARKED))
    answers.changed(KEY)
    clock.seconds += 40
    assert answers.is_active(asked())
    clock.seconds += 60
    assert not answers.is_active(asked())


def test_an_unsettled_set_never_goes_to_zero(clock):
    answers = Answers(FakePorts({KEY: snapshot(Group(2, MARKED), observed=False)}))
    for _ in range(5):
        assert answers.is_active(asked())
        clock.seconds += 60


def test_a_set_at_zero_wakes_for_what_shall_be_kept(clock):
    answers = Answers(FakePorts({KEY: snapshot()}))
    assert answers.is_active(asked(minAvailable="1"))
    assert not answers.is_active(asked())


def test_what_was_seen_counts_for_a_second(clock):
    ports = FakePorts({KEY: snapshot(Group(3))})
    answers = Answers(ports)
    assert answers.metric(asked()) == 3
    ports.sets[KEY] = snapshot(Group(5))
    assert answers.metric(asked()) == 3
    clock.seconds += 1
    assert answers.metric(asked()) == 5


def test_what_is_not_known_is_an_error_and_no_guess(clock):
    ports = FakePorts()
    answers = Answers(ports)
    with pytest.raises(UnknownSet, match="there is no GameServerSet games/minecraft"):
        answers.metric(asked())
    ports.sets[KEY] = snapshot(Group(1))
    assert answers.metric(asked()) == 1
    ports.is_ready = False
    with pytest.raises(NotReady):
        answers.metric(asked())
    with pytest.raises(NotReady):
        answers.is_active(asked())


def test_a_set_that_was_deleted_is_unknown_at_once(clock):
    ports = FakePorts({KEY: snapshot(Group(2, MARKED))})
    answers = Answers(ports)
    assert answers.is_active(asked())
    ports.sets.clear()
    answers.changed(KEY)
    with pytest.raises(UnknownSet):
        answers.is_active(asked())
