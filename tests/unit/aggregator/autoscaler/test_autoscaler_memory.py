"""What an autoscaler remembers: samples, changes, and who undid them."""

from datetime import timedelta

from aggregator.autoscaler.memory import (
    Memory,
    begin,
    note_growth,
    note_removals,
    pause,
    see_decision,
    see_replicas,
)
from aggregator.scaling.evaluate import evaluate
from aggregator.scaling.policy import Sample
from tests.support.scaling import Group, at, policy, snapshot

FOUR_IDLE = snapshot(Group(4))


def decided(memory, excess, second):
    wanted = policy(max_available=4 - excess)
    decision = evaluate(FOUR_IDLE, wanted, memory.history, at(second))
    return see_decision(memory, decision, (), at(second))


def test_who_begins_has_seen_nothing_missing_and_nobody_too_many():
    memory = begin(at(0))
    assert memory.history.deficit == memory.history.excess == (Sample(0, at(0)),)


def test_samples_that_a_later_one_makes_irrelevant_are_forgotten():
    memory = Memory()
    for second, excess in enumerate((1, 3, 2, 4, 4)):
        memory = decided(memory, excess, second)
    kept = (Sample(1, at(0)), Sample(2, at(2)), Sample(4, at(4)))
    assert memory.history.excess == kept


def test_samples_and_changes_older_than_an_hour_are_forgotten():
    memory = note_growth(decided(Memory(), 1, 0), 5, 1, at(0))
    memory = note_removals(memory, ["a"], [], at(0))
    memory = decided(memory, 4, 3600)
    assert memory.history.excess == (Sample(4, at(3600)),)
    assert (memory.history.up, memory.history.down) == ((), ())


def test_growth_and_cancelling_are_changes_of_their_own_direction():
    memory = note_growth(note_growth(Memory(), 5, 2, at(1)), 4, -1, at(2))
    assert memory.history.up == (Sample(2, at(1)),)
    assert memory.history.down == (Sample(1, at(2)),)
    assert (memory.replicas, memory.scaled_at) == (4, at(2))


def test_only_growth_of_ours_can_be_taken_back():
    memory = see_replicas(Memory(), 5, 0, at(0))
    assert see_replicas(memory, 3, 0, at(1)).resets == ()
    grown = note_growth(memory, 7, 2, at(1))
    assert see_replicas(grown, 7, 0, at(2)).resets == ()
    assert see_replicas(grown, 5, 2, at(2)).resets == (), "two deletions were accounted"
    reset = see_replicas(grown, 5, 0, at(2))
    assert reset.resets == (at(2),)
    assert see_replicas(reset, 4, 0, at(3)).resets == (at(2),), "nothing of ours stands any more"
    assert see_replicas(reset, 5, 0, at(2) + timedelta(minutes=10)).resets == ()


def test_a_removal_of_ours_is_undone_by_who_raises_replicas_above_what_was_seen_last():
    memory = note_removals(see_replicas(Memory(), 5, 0, at(0)), ["a", "b"], [], at(0))
    accounted = see_replicas(memory, 3, 2, at(1))
    assert accounted.resets == ()
    reset = see_replicas(accounted, 5, 0, at(2))
    assert reset.resets == (at(2),)
    assert see_replicas(reset, 9, 0, at(3)).resets == (at(2),), "nothing of ours stands any more"
    cancelled = note_growth(see_replicas(Memory(), 5, 0, at(0)), 4, -1, at(0))
    assert see_replicas(cancelled, 5, 0, at(1)).resets == (at(1),)


def test_what_others_do_while_nothing_is_decided_undoes_nothing():
    grown = note_growth(see_replicas(Memory(), 5, 0, at(0)), 7, 2, at(0))
    assert see_replicas(pause(grown, at(1)), 5, 0, at(2)).resets == ()


def test_windows_begin_again_after_a_time_without_decisions_and_rates_go_on():
    memory = note_growth(decided(begin(at(0)), 4, 300), 5, 1, at(300))
    paused = pause(memory, at(400))
    assert paused.history.deficit == paused.history.excess == (Sample(0, at(400)),)
    assert paused.history.up == memory.history.up == (Sample(1, at(300)),)


def test_a_removal_of_a_server_that_was_never_used_is_waste_only_if_it_was_marked():
    memory = Memory(unused=frozenset({"a", "b", "c"}))
    after = note_removals(memory, ["a", "b", "x"], ["a", "x"], at(1))
    assert (after.wasted, after.unused) == ((at(1),), frozenset({"c"}))
    assert note_removals(memory, [], [], at(1)) is memory
