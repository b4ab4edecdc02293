"""Images and resources of one server that differ from its template."""

from copy import deepcopy

import pytest

from aggregator.gameserverset.agent_container import AgentTemplate
from aggregator.gameserverset.overrides import (
    asked_images,
    given_images,
    override_containers,
    render_images,
)
from aggregator.gameserverset.pod import render_pod
from shared.api import names
from tests.support.builders import game_server, game_server_set, pod

LIMITS = {"limits": {"cpu": "2"}}
GAME = {"name": "game", "image": "game:1", "resources": {"limits": {"cpu": "1"}}, "tty": True}
LOG = {"name": "log", "image": "log:1"}
SPEC = {"containers": [GAME, LOG], "initContainers": [{"name": "fetch", "image": "fetch:1"}]}


@pytest.mark.parametrize(
    ("asked", "containers"),
    [
        pytest.param([], [GAME, LOG], id="nothing"),
        pytest.param(
            [{"name": "game", "image": "game:9"}], [GAME | {"image": "game:9"}, LOG], id="an image"
        ),
        pytest.param(
            [{"name": "game", "resources": LIMITS}],
            [GAME | {"resources": LIMITS}, LOG],
            id="resources",
        ),
        pytest.param(
            [{"name": "log", "image": "log:9", "resources": {}}],
            [GAME, LOG | {"image": "log:9", "resources": {}}],
            id="both, and resources of nothing",
        ),
        pytest.param(
            [{"name": "game", "image": "game:8"}, {"name": "game", "resources": LIMITS}],
            [GAME | {"resources": LIMITS}, LOG],
            id="of two entries the later",
        ),
        pytest.param([{"name": "fetch", "image": "fetch:9"}], [GAME, LOG], id="no init container"),
        pytest.param([{"name": "gone", "image": "gone:9"}], [GAME, LOG], id="none of that name"),
    ],
)
def test_what_a_server_asks_for_is_written_into_its_new_pod(asked, containers):
    spec = deepcopy(SPEC)
    override_containers(spec, game_server(containers=asked))
    assert spec == SPEC | {"containers": containers}


@pytest.mark.parametrize("spec", [{}, {"containers": None}], ids=str)
def test_a_spec_without_containers_stays_as_it_is(spec):
    before = deepcopy(spec)
    override_containers(spec, game_server(containers=[{"name": "game", "image": "game:9"}]))
    assert spec == before


def test_the_images_that_are_asked_for_have_one_order():
    asked = [
        {"name": "log", "image": "log:9"},
        {"name": "game", "image": "game:8"},
        {"name": "mesh", "resources": LIMITS},
        {"name": "game", "image": "game:9"},
    ]
    assert asked_images(game_server(containers=asked)) == (("game", "game:9"), ("log", "log:9"))


def test_what_was_given_is_remembered_and_read_again():
    images = (("game", "game:9"), ("log", "log:9"))
    text = render_images(images)
    assert text == '{"game":"game:9","log":"log:9"}'
    assert given_images(pod(annotations={names.IMAGES_ANNOTATION: text})) == images
    assert (render_images(()), given_images(pod())) == (None, ())


def test_given_images_are_read_in_one_order_whoever_wrote_them():
    text = '{"log": "log:9", "game": 7}'
    images = (("game", "7"), ("log", "log:9"))
    assert given_images(pod(annotations={names.IMAGES_ANNOTATION: text})) == images


@pytest.mark.parametrize(
    ("asked", "image", "annotations"),
    [
        ([], "game:1", {}),
        (
            [{"name": "game", "image": "game:9"}],
            "game:9",
            {names.IMAGES_ANNOTATION: '{"game":"game:9"}'},
        ),
    ],
    ids=["nothing", "an image"],
)
def test_a_server_that_outlived_its_pod_has_its_own_images_in_the_next(asked, image, annotations):
    owner = game_server_set(template={"spec": SPEC, "metadata": {"annotations": {"a": "b"}}})
    agent = AgentTemplate("agent:1", "IfNotPresent", ("https://a:1",))
    made = render_pod(owner, 0, agent, server=game_server(containers=asked))
    assert made["spec"]["containers"][0]["image"] == image
    assert made["metadata"]["annotations"] == {"a": "b"} | annotations
    assert owner.spec.game_server_template.spec == SPEC
