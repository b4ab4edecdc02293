"""How a game's files come into a container of any image."""

import copy

import pytest

from tests.support.game_images import GameImage, config_map, furnished
from tests.support.image_references import chart_values

GAME = GameImage(
    "ubuntu:2", "ubuntu:1", "image-0", {"command": ["./start.sh"], "workingDir": "/data"}
)
IMAGES = {"game:1": GAME, "bare:1": GameImage("python:3")}


def test_a_container_of_a_known_image_gets_its_command_its_folder_and_its_files():
    spec = {"containers": [{"name": "game", "image": "game:1"}], "nodeName": "a"}
    before = copy.deepcopy(spec)
    assert furnished(spec, IMAGES) == {
        "nodeName": "a",
        "containers": [
            {
                "name": "game",
                "image": "ubuntu:2",
                "command": ["./start.sh"],
                "workingDir": "/data",
                "volumeMounts": [{"name": "folder-of-game", "mountPath": "/data"}],
            }
        ],
        "initContainers": [
            {
                "name": "files-of-game",
                "image": "ubuntu:1",
                "command": ["bash", "-c", "cp -L /gamekeeper-test-files/* /to/"],
                "volumeMounts": [
                    {"name": "files-of-game", "mountPath": "/gamekeeper-test-files"},
                    {"name": "folder-of-game", "mountPath": "/to"},
                ],
            }
        ],
        "volumes": [
            {"name": "files-of-game", "configMap": {"name": "image-0", "defaultMode": 0o755}},
            {"name": "folder-of-game", "emptyDir": {}},
        ],
    }
    assert spec == before


def test_what_the_template_says_wins_and_variables_of_the_image_come_first():
    image = GameImage("ubuntu:2", description={"command": ["x"], "env": {"A": "1"}})
    container = {"name": "c", "image": "i", "command": ["y"], "env": [{"name": "B", "value": "2"}]}
    (made,) = furnished({"containers": [container]}, {"i": image})["containers"]
    assert made == {
        "name": "c",
        "image": "ubuntu:2",
        "command": ["y"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    }


def test_what_was_in_the_spec_stays_before_what_is_added():
    spec = {
        "containers": [{"name": "game", "image": "game:1", "volumeMounts": [{"name": "own"}]}],
        "initContainers": [{"name": "first"}],
        "volumes": [{"name": "own"}],
    }
    made = furnished(spec, IMAGES)
    assert [each["name"] for each in made["initContainers"]] == ["first", "files-of-game"]
    assert [each["name"] for each in made["volumes"]] == ["own", "files-of-game", "folder-of-game"]
    mounts = made["containers"][0]["volumeMounts"]
    assert [each["name"] for each in mounts] == ["own", "folder-of-game"]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"name": "a", "image": "busybox"}, {"name": "a", "image": "busybox"}),
        ({"name": "a", "image": "bare:1"}, {"name": "a", "image": "python:3"}),
        ({"name": "a"}, {"name": "a"}),
    ],
    ids=["another image", "an image without files", "no image"],
)
def test_what_needs_no_files_gets_none(container, expected):
    assert furnished({"containers": [container]}, IMAGES) == {"containers": [expected]}


def test_two_references_of_one_folder_differ_in_nothing_but_the_image():
    other = GameImage("ubuntu:3", GAME.copier, GAME.config_map, GAME.description)
    images = {"game:1": GAME, "game:2": other}
    first, second = (
        furnished({"containers": [{"name": "game", "image": image}]}, images) for image in images
    )
    assert second["containers"][0].pop("image") == "ubuntu:3"
    assert first["containers"][0].pop("image") == "ubuntu:2"
    assert first == second


def test_files_travel_in_a_config_map_which_has_an_end():
    assert config_map("image-0", {"a.sh": "true\n"}) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "image-0"},
        "data": {"a.sh": "true\n"},
    }
    with pytest.raises(ValueError, match="at most 1 MiB"):
        config_map("image-0", {"big": "x" * ((1 << 20) + 1)})


@pytest.mark.parametrize(
    ("reference", "repository", "tag", "digest"),
    [
        ("gamekeeper/agent:1.0", "gamekeeper/agent", "1.0", ""),
        ("localhost:5000/agent:1", "localhost:5000/agent", "1", ""),
        ("r.example/a@sha256:ab", "r.example/a", "", "sha256:ab"),
        ("r.example:443/a:1@sha256:ab", "r.example:443/a", "1", "sha256:ab"),
    ],
    ids=["a tag", "a port of the registry", "a digest", "all of them"],
)
def test_a_reference_is_read_as_values_of_the_chart(reference, repository, tag, digest):
    expected = {"repository": repository, "tag": tag, "digest": digest}
    assert chart_values(reference) == expected


def test_a_reference_without_tag_and_digest_is_refused():
    with pytest.raises(ValueError, match="localhost:5000/agent must have a tag or a digest"):
        chart_values("localhost:5000/agent")
