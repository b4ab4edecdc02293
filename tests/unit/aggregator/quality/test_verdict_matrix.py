"""Verdict before, verdict now, kind of quality: what each combination writes (SPEC 4.2 to 4.6).

The expectation is computed from a table of what each kind asks for at each verdict, and from the
rules in words; nothing of the production code takes part in it.
"""

from itertools import product

import pytest

from aggregator.quality.match import verdict_of
from aggregator.quality.merge import Outcome, Situation, decide
from aggregator.quality.verdicts import Record, parse_records, render_records
from tests.support.builders import NOW, quality

OPS = ("opsState",)
FIRST_RUN = NOW.replace(microsecond=1000)
NOW_AS_KEPT = NOW.replace(microsecond=678_000)

T_LOW, T_HIGH, T_GATE, F = ("True", "5"), ("True", "95"), ("True", "gate"), ("False", "")
VERDICTS = {"T(5)": T_LOW, "T(95)": T_HIGH, "T(gate)": T_GATE, "F": F}

# kind -> (the quality, what it asks of opsState at each verdict that asks for something).
KINDS = {
    "plain": (
        quality("q", {"state": True, "opsState": "On"}, {"state": False, "opsState": "Off"}),
        {T_LOW: "On", T_HIGH: "On", T_GATE: "On", F: "Off"},
    ),
    "one side": (
        quality("q", {"state": False, "opsState": "Off"}),
        {F: "Off"},
    ),
    "result": (
        quality(
            "q",
            {"state": True, "result": "gate", "opsState": "Gate"},
            {"state": True, "result": "95", "opsState": "High"},
        ),
        {T_GATE: "Gate", T_HIGH: "High"},
    ),
    "template of the result": (
        quality("q", {"state": True, "opsState": "s-{{.Result}}"}),
        {T_LOW: "s-5", T_HIGH: "s-95", T_GATE: "s-gate"},
    ),
    "template with a threshold": (
        quality(
            "q",
            {"state": True, "opsState": "{{if ge .Result 90}}Busy{{else}}Calm{{end}}"},
            {"state": False, "opsState": "Calm"},
        ),
        # "gate" cannot be compared: the field is skipped.
        {T_LOW: "Calm", T_HIGH: "Busy", F: "Calm"},
    ),
    "later action wins": (
        quality(
            "q",
            {"state": True, "opsState": "On"},
            {"state": True, "result": "gate", "opsState": "Gate"},
            {"state": False, "result": "never", "opsState": "Never"},
        ),
        {T_LOW: "On", T_HIGH: "On", T_GATE: "Gate"},
    ),
}
MATRIX = [
    pytest.param(kind, permanent, before, now, id=f"{kind}{permanent} {before} -> {now}")
    for kind, permanent, before, now in product(
        KINDS, ("", " permanent"), ("nothing", "older pod", *VERDICTS), ("Unknown", *VERDICTS)
    )
]


def recorded(kind: str, before: str) -> dict[str, Record]:
    """The record that a first verdict leaves behind, by way of its text."""
    if before == "nothing":
        return {}
    verdict = VERDICTS.get(before, T_GATE)
    asked = KINDS[kind][1].get(verdict)
    record = Record(
        verdict_of(*verdict),
        "older" if before == "older pod" else "pod-0",
        FIRST_RUN if asked else None,
        {OPS: asked} if asked else {},
    )
    return parse_records(render_records({"q": record}))


@pytest.mark.parametrize(("kind", "permanent", "before", "now"), MATRIX)
def test_what_a_change_of_the_verdict_writes(kind, permanent, before, now):
    quality_, asks = KINDS[kind]
    quality_ = quality_.model_copy(update={"permanent": bool(permanent)})
    records = recorded(kind, before)
    was, is_ = VERDICTS.get(before), VERDICTS.get(now)
    wanted_before, wanted = asks.get(was), asks.get(is_)
    # The object has a state that nobody here asks for, as after an edit by hand.
    seen = {} if is_ is None else {"q": verdict_of(*is_)}
    effects = decide(Situation((quality_,), records, seen, {OPS: "Edited"}, "pod-0", NOW))
    if is_ is None or is_ == was:
        assert effects is None, "no edge"
        return
    spent = bool(permanent) and wanted_before is not None
    acts = wanted is not None and not spent
    unchanged = not permanent and wanted_before == wanted
    writes = {OPS: wanted} if acts and not unchanged else {}
    record = effects.records["q"]
    assert effects.writes == writes
    assert (record.verdict, record.pod_uid) == (verdict_of(*is_), "pod-0")
    ran_before = FIRST_RUN if wanted_before else None
    assert record.executed_at == (NOW_AS_KEPT if acts else ran_before)
    assert effects.outcomes == (
        {OPS: Outcome.UNCHANGED if unchanged else Outcome.WRITTEN} if acts else {}
    )


PRESENT = ["None", "WaitToBeDeleted", "Allocated", "Maintaining", "Kill", "Custom", ""]
WISHES = ["None", "WaitToBeDeleted", "Maintaining", "Custom"]
HISTORY = [
    "first",
    "first, ours of an older pod",
    "asked for another before",
    "asked for it before",
]


@pytest.mark.parametrize(
    ("present", "wish", "history"),
    [
        pytest.param(*cell, id=f"{cell[0] or 'empty'} <- {cell[1]}, {cell[2]}")
        for cell in product(PRESENT, WISHES, HISTORY)
    ],
)
def test_which_state_replaces_which(present, wish, history):
    asking = quality("q", {"state": True, "opsState": wish}, {"state": False, "opsState": "Other"})
    record = {
        "first": None,
        "first, ours of an older pod": Record(
            verdict_of("True", ""), "older", None, {OPS: present}
        ),
        "asked for another before": Record(verdict_of("False", ""), "pod-0"),
        "asked for it before": Record(verdict_of("True", "x"), "pod-0"),
    }[history]
    records = {} if record is None else {"q": record}
    seen = {"q": verdict_of("True", "")}
    effects = decide(Situation((asking,), records, seen, {OPS: present}, "pod-0", NOW))
    if history == "asked for it before":
        outcome = Outcome.UNCHANGED
    elif present == wish:
        outcome = Outcome.PRESENT
    elif present == "Kill":
        outcome = Outcome.KILL_STAYS
    elif wish == "None" and history == "first":
        outcome = Outcome.NOT_OURS
    else:
        outcome = Outcome.WRITTEN
    assert effects.outcomes == {OPS: outcome}
    assert effects.writes == ({OPS: wish} if outcome is Outcome.WRITTEN else {})


TOGETHER = {
    # (what the earlier asks for, what the later asks for): what both ask for together
    ("None", "None"): "None",
    ("None", "Maintaining"): "Maintaining",
    ("None", None): "None",
    ("WaitToBeDeleted", "None"): "WaitToBeDeleted",
    ("WaitToBeDeleted", "Maintaining"): "Maintaining",
    ("WaitToBeDeleted", None): "WaitToBeDeleted",
    ("Maintaining", "None"): "Maintaining",
    ("Maintaining", "WaitToBeDeleted"): "WaitToBeDeleted",
    ("Maintaining", "Maintaining"): "Maintaining",
    (None, "None"): "None",
    (None, "WaitToBeDeleted"): "WaitToBeDeleted",
    (None, None): None,
}


@pytest.mark.parametrize(
    ("asked", "together"),
    [
        pytest.param(asked, together, id=f"{asked[0]} then {asked[1]}")
        for asked, together in TOGETHER.items()
    ],
)
def test_two_qualities_ask_for_one_state(asked, together):
    def asking(name, state):
        return quality(name, {"state": True} | ({"opsState": state} if state else {}))

    qualities = (asking("earlier", asked[0]), asking("later", asked[1]))
    seen = {"earlier": verdict_of("True", ""), "later": verdict_of("True", "")}
    effects = decide(Situation(qualities, {}, seen, {OPS: ""}, "pod-0", NOW))
    wished = effects.wishes.get(OPS)
    assert (wished.value if wished else None) == together
