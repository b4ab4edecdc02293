"""Servers before, in and after an update, as the decisions about it see them."""

from aggregator.gameserverset.inplace import Change
from aggregator.gameserverset.server import Server
from aggregator.gameserverset.update import PatchInPlace, UpdateRules, plan_updates
from aggregator.pod_update import OldContainer, PodUpdate
from tests.support.builders import NOW

IMAGE = Change(images={"game": "game:2"})
LABEL = Change(labels={"team": "red"})
RECREATE = UpdateRules("new")
IN_PLACE = UpdateRules("new", policy="InPlaceIfPossible", changes={"old": IMAGE})
MARKED = PodUpdate("InPlace", "new", NOW)
PATCHED = PodUpdate("InPlace", "new", NOW, {"game": OldContainer("1", "game:1")})


def server(id_, revision="old", **fields):
    return Server(id_, f"pod-{id_}", "None", revision=revision, **fields)


def busy(id_, update, revision="old", **fields):
    return server(id_, revision, update=update, available=False, **fields)


def steps_of(servers, rules, *, replicas=None, now=NOW):
    count = len(servers) if replicas is None else replicas
    return plan_updates(servers, count, rules, now).steps


def patched(server_, change=IMAGE, revision="new"):
    return PatchInPlace(server_, change, revision)


def outdated(count, **fields):
    return [server(id_, **fields) for id_ in range(count)]
