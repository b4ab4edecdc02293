"""Images of one server beside the template (SPEC 6.9)."""

from dataclasses import replace

import pytest

from aggregator.gameserverset.inplace import Change
from aggregator.gameserverset.update import Unmark
from shared.api import names
from tests.support.updated_servers import IN_PLACE, MARKED, busy, patched, server, steps_of

OWN = (("game", "game:9"),)
TEMPLATE = {"old": {"game": "game:1", "log": "log:1"}, "new": {"game": "game:2", "log": "log:2"}}


def given_own(images, text):
    return Change(images=images, annotations={names.IMAGES_ANNOTATION: text})


@pytest.mark.parametrize(
    ("asked", "given", "revision", "change"),
    [
        pytest.param(
            OWN, (), "new", given_own({"game": "game:9"}, '{"game":"game:9"}'), id="asked for"
        ),
        pytest.param(OWN, OWN, "new", None, id="given"),
        pytest.param((), OWN, "new", given_own({"game": "game:2"}, None), id="taken back"),
        pytest.param((), OWN, "unknown", given_own({}, None), id="to a template nobody knows"),
        pytest.param(OWN, OWN, "old", Change(images={"log": "log:2"}), id="updated beside it"),
        pytest.param(
            OWN,
            (),
            "old",
            given_own({"game": "game:9", "log": "log:2"}, '{"game":"game:9"}'),
            id="updated and asked for",
        ),
        pytest.param(
            (),
            OWN,
            "old",
            given_own({"game": "game:2", "log": "log:2"}, None),
            id="updated and taken back",
        ),
    ],
)
def test_images_of_one_server(asked, given, revision, change):
    rules = replace(
        IN_PLACE,
        changes={"old": Change(images={"game": "game:2", "log": "log:2"})},
        images=TEMPLATE,
        halt="TemplatesUnknown" if revision == "unknown" else None,
    )
    one = server(0, revision, asked_images=asked, given_images=given)
    after = "new" if revision == "old" else revision
    expected = () if change is None else (patched(one, change, after),)
    assert steps_of([one], rules) == expected


def test_an_image_that_is_taken_back_is_the_new_templates_whatever_the_update_changes():
    rules = replace(IN_PLACE, changes={"old": Change(images={"log": "log:2"})}, images=TEMPLATE)
    change = given_own({"log": "log:2", "game": "game:2"}, None)
    one = server(0, given_images=OWN)
    assert steps_of([one], rules) == (patched(one, change),)


def test_images_are_given_whoever_else_there_is():
    own = server(0, "new", asked_images=OWN)
    settled, begun, marked = server(2, "new"), busy(1, MARKED), busy(3, MARKED, "new")
    given = patched(own, given_own({"game": "game:9"}, '{"game":"game:9"}'))
    steps = steps_of([settled, begun, marked, own], IN_PLACE)
    assert steps == (patched(begun), Unmark(marked), given)


def test_images_of_one_server_wait_for_nobody():
    servers = [server(0, "new", asked_images=OWN), server(1, "new", available=False)]
    rules = replace(IN_PLACE, halt="UpdatePaused", max_unavailable=0)
    assert [step.server.id for step in steps_of(servers, rules)] == [0]
