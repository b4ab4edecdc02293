"""What a run did to a game server, in a few words for its log line."""

import pytest

from aggregator.gameserver.operations import (
    CreateServer,
    DeleteServer,
    PatchPod,
    PatchServer,
    PatchStatus,
    describe,
)

DECIDED_ON = {"uid": "server-0", "resource_version": "30"}


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        pytest.param(CreateServer({"kind": "GameServer"}), "create GameServer", id="create"),
        pytest.param(DeleteServer(**DECIDED_ON), "delete GameServer", id="delete"),
        pytest.param(
            PatchServer(
                {"metadata": {"labels": {"a": "1"}}, "spec": {"opsState": "Allocated"}},
                **DECIDED_ON,
            ),
            "patch GameServer {'opsState': 'Allocated'}",
            id="an action: with what it wrote",
        ),
        pytest.param(
            PatchServer({"metadata": {"annotations": {"note": "long"}}}, **DECIDED_ON),
            "patch GameServer metadata",
            id="a verdict that is only remembered: without its annotation",
        ),
        pytest.param(
            PatchStatus({"currentState": "NotReady"}, **DECIDED_ON),
            "patch status, NotReady",
            id="status",
        ),
        pytest.param(PatchPod({"labels": {}}, **DECIDED_ON), "patch pod labels", id="mirror"),
    ],
)
def test_an_operation_in_words(operation, words):
    assert describe(operation) == words
