"""A permanent quality acts once for a pod (SPEC 4.4)."""

from aggregator.quality.match import OPS_STATE
from aggregator.quality.verdicts import Record, parse_records
from tests.support.builders import quality
from tests.support.verdict_steps import IDLE, NOW_AS_KEPT, ONCE, Server, seen


def test_a_permanent_quality_acts_at_most_once_for_a_pod():
    server = Server((ONCE,))
    assert server.step(once="True:half") == {}, "matches nothing, so it is not used up"
    assert server.step(once="True:full") == {OPS_STATE: "Allocated"}
    server.present[OPS_STATE] = "None"
    assert server.step(once="True:half") == {}
    assert server.step(once="True:full") == {}
    server.pod_uid = "pod-1"
    assert server.step(once="True:full") == {OPS_STATE: "Allocated"}


def test_a_permanent_quality_whose_every_field_was_skipped_is_not_used_up():
    bad = quality("q", {"state": True, "opsState": "not legal"}, permanent=True)
    server = Server((bad,))
    assert server.step(q="True") == {}
    good = quality("q", {"state": True, "opsState": "Legal"}, permanent=True)
    server.qualities = (good,)
    assert server.step(q="True:again") == {OPS_STATE: "Legal"}


def test_a_spent_quality_no_longer_takes_part_in_the_merge():
    once = quality("once", {"state": True, "opsState": "Allocated"}, permanent=True)
    server = Server((IDLE, once))
    assert server.step(idle="False", once="True") == {OPS_STATE: "Allocated"}
    assert server.step(idle="True", once="True") == {OPS_STATE: "WaitToBeDeleted"}


def test_a_corrected_spec_does_not_let_a_permanent_quality_act_through_the_edge_of_another():
    wrong = quality("once", {"state": True, "opsState": "not legal"}, permanent=True)
    server = Server((IDLE, wrong))
    server.step(once="True")
    right = quality("once", {"state": True, "opsState": "Ready"}, permanent=True)
    server.qualities = (IDLE, right)
    assert server.step(idle="True", once="True") == {OPS_STATE: "WaitToBeDeleted"}
    assert server.step(idle="True", once="True:again") == {OPS_STATE: "Ready"}
    assert server.step(idle="True", once="True:third") == {}


def test_the_spent_quality_keeps_its_record_and_its_time():
    server = Server((ONCE,))
    server.step(once="True:full")
    server.step(once="False:x")
    assert parse_records(server.annotation)["once"] == Record(
        seen(once="False:x")["once"], "pod-0", NOW_AS_KEPT, {OPS_STATE: "Allocated"}
    )
