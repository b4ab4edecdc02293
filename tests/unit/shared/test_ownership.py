"""The table of writers: the longest path decides, and owned keys are in it."""

import pytest

from shared.api import names
from shared.api.ownership import OWNERS, Writer, writer_of


@pytest.mark.parametrize(
    ("kind", "path", "writer"),
    [
        ("Pod", (), Writer.GAMESERVERSET),
        ("Pod", ("metadata", "labels", "team"), Writer.GAMESERVERSET),
        ("Pod", ("metadata", "labels", names.OPS_STATE_LABEL), Writer.GAMESERVER),
        ("Pod", ("metadata", "labels", "gs-sync/team"), Writer.GAMESERVER),
        ("Pod", ("metadata", "annotations", "gs-sync/team"), Writer.GAMESERVER),
        ("GameServer", (), Writer.GAMESERVER),
        ("GameServer", ("spec", "opsState"), Writer.GAMESERVER),
        ("GameServer", ("status", "podStatus", "phase"), Writer.GAMESERVER),
        ("GameServer", ("spec", "deletion"), Writer.CLAIMS),
        ("GameServer", ("spec", "deletion", "reason"), Writer.CLAIMS),
        ("GameServer", ("metadata", "labels", names.DELETING_LABEL), Writer.CLAIMS),
        ("GameServerSet", ("status", "replicas"), Writer.GAMESERVERSET),
        ("GameServerSet", ("spec", "replicas"), Writer.GAMESERVERSET),
        ("GameServerSet", ("spec", "serviceName"), None),
        ("GameServerSetAutoscaler", ("status", "counts"), Writer.AUTOSCALER),
        ("GameServerSetAutoscaler", ("spec", "mode"), None),
        ("GameServerSet", (), None),
        ("Node", (), None),
    ],
)
def test_who_writes(kind, path, writer):
    assert writer_of(kind, path) is writer


def test_no_action_can_set_what_another_part_writes():
    taken = {path[2] for owners in OWNERS.values() for path in owners if path[:1] == ("metadata",)}
    assert taken <= names.OWNED_KEYS
