"""Whatever the probes say and people write, in any order (SPEC 4.2, 4.4 and 4.6)."""

from copy import deepcopy
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from aggregator.quality.match import OPS_STATE
from aggregator.quality.merge import Situation, decide
from aggregator.quality.verdicts import parse_records
from tests.support.builders import NOW
from tests.support.verdict_steps import HEALTHY, IDLE, ONCE, Server, seen

STATES = st.sampled_from(["None", "WaitToBeDeleted", "Maintaining", "Allocated", "Kill", "Custom"])
VERDICTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(["True", "False", "True:full", "True:half"])
        for name in ("idle", "healthy", "once")
    },
)
STEPS = st.lists(st.tuples(VERDICTS, STATES | st.none()), min_size=1, max_size=8)


@given(STEPS)
def test_a_repeated_verdict_writes_nothing_and_inputs_are_not_changed(steps):
    server = Server((IDLE, HEALTHY, ONCE))
    for statuses, edit in steps:
        if edit is not None:
            server.present[OPS_STATE] = edit
        situation = Situation(
            server.qualities,
            parse_records(server.annotation),
            seen(**statuses),
            server.present,
            "pod-0",
            NOW + timedelta(seconds=1),
        )
        before = deepcopy(situation)
        decide(situation)
        assert situation == before
        server.step(**statuses)
        assert server.step(**statuses) is None


@given(STEPS)
def test_kill_stays_and_a_permanent_quality_executes_at_most_once(steps):
    server = Server((IDLE, HEALTHY, ONCE))
    executions = []
    for statuses, edit in steps:
        if edit is not None:
            server.present[OPS_STATE] = edit
        before = server.present[OPS_STATE]
        server.step(**statuses)
        if before == "Kill":
            assert server.present[OPS_STATE] == "Kill"
        executions += [each for each in server.executed if each.name == "once"]
    assert len(executions) <= 1
