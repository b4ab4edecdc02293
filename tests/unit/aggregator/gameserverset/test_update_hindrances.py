"""What an update waits for when nobody can go on with it."""

from dataclasses import replace

import pytest

from aggregator.gameserverset.update import plan_updates
from tests.support.builders import NOW
from tests.support.updated_servers import IMAGE, MARKED, RECREATE, busy, outdated, server

ALLOCATED = replace(server(0), ops_state="Allocated")
MAINTAINING = replace(server(1), ops_state="Maintaining")
SPARED = {"protects_allocated": True, "ops_states": frozenset({"None", "Allocated"})}


@pytest.mark.parametrize(
    ("servers", "fields", "expected"),
    [
        pytest.param(outdated(2), {}, (), id="they are updated"),
        pytest.param(outdated(2), {"halt": "OnDelete"}, ("OnDelete",), id="OnDelete"),
        pytest.param(outdated(2), {"halt": "UpdatePaused"}, ("UpdatePaused",), id="paused"),
        pytest.param(
            outdated(2), {"halt": "UpdatePaused", "partition": 2}, (), id="paused, none is left"
        ),
        pytest.param(
            outdated(2), {"halt": "TemplatesUnknown"}, (), id="a request that is tried again"
        ),
        pytest.param([ALLOCATED], SPARED, ("AllocatedProtected",), id="spared"),
        pytest.param([MAINTAINING], SPARED, ("StateLeftOut",), id="another state"),
        pytest.param(
            [MAINTAINING, ALLOCATED], SPARED, ("AllocatedProtected", "StateLeftOut"), id="both"
        ),
        pytest.param(
            [MAINTAINING, ALLOCATED],
            SPARED | {"ops_states": frozenset({"Maintaining"})},
            (),
            id="one is to be updated",
        ),
        pytest.param(
            [ALLOCATED, server(1), server(2)],
            SPARED | {"partition": 2},
            (),
            id="others are to be updated in its place",
        ),
        pytest.param(
            [ALLOCATED, server(1, "new", available=False)],
            SPARED,
            ("AllocatedProtected",),
            id="spared, whoever is not available",
        ),
        pytest.param(
            [server(0), server(1, "new", available=False)],
            {},
            (),
            id="the others become available by themselves",
        ),
        pytest.param(
            outdated(2), {"max_unavailable": 0}, ("NoneMayBeUnavailable",), id="none may be out"
        ),
        pytest.param(
            [server(0), server(1, available=False)],
            {"max_unavailable": 0},
            (),
            id="one is out anyway",
        ),
        pytest.param(
            [busy(0, MARKED, update_held=True)],
            {"policy": "InPlaceIfPossible", "changes": {"old": IMAGE}},
            (),
            id="a hook is waited for",
        ),
        pytest.param(
            [server(0), replace(ALLOCATED, id=1)],
            SPARED | {"policy": "InPlaceOnly"},
            ("AllocatedProtected", "InPlaceImpossible"),
            id="impossible, and spared",
        ),
    ],
)
def test_an_update_that_nobody_can_go_on_with_says_why(servers, fields, expected):
    plan = plan_updates(servers, len(servers), replace(RECREATE, **fields), NOW)
    assert plan.hindrances == expected
