"""A kubeconfig is read as kubectl reads it, as far as commands need it."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.kubeconfig import Context, kubeconfig_files, read_context
from shared.errors import InvalidInput


def config(path: Path, name: str, *, current: bool = True, **context: Any) -> Path:
    extensions = [{"name": "gamekeeper.dev/status", "extension": {"url": f"http://{name}"}}]
    body = {
        "current-context": name if current else "",
        "contexts": [{"name": name, "context": {"cluster": name} | context}],
        "clusters": [{"name": name, "cluster": {"server": "x", "extensions": extensions}}],
    }
    path.write_text(yaml.safe_dump(body))
    return path


def test_the_current_context_names_namespace_and_extensions(tmp_path: Path) -> None:
    file = config(tmp_path / "a", "local", namespace="games")
    assert read_context([file]) == Context(
        "local", "games", {"gamekeeper.dev/status": {"url": "http://local"}}
    )


def test_of_several_files_the_first_that_says_something_wins(tmp_path: Path) -> None:
    first = config(tmp_path / "a", "one", current=False)
    second = config(tmp_path / "b", "two", namespace="games")
    third = config(tmp_path / "c", "two", namespace="late")
    missing = tmp_path / "nothing"
    read = read_context([missing, first, second, third])
    assert (read.name, read.namespace) == ("two", "games")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "current-context: ''", "contexts: 7", "contexts: [7]", "contexts: [{name: ''}]"],
)
def test_a_file_that_says_nothing_leaves_the_defaults(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a"
    file.write_text(text)
    read = read_context([file])
    assert (read.namespace, read.extensions) == ("default", {})


def test_a_context_may_be_named(tmp_path: Path) -> None:
    first = config(tmp_path / "a", "one", namespace="games")
    second = config(tmp_path / "b", "two", namespace="lobby")
    read = read_context([first, second], "two")
    assert (read.name, read.namespace) == ("two", "lobby")
    assert read.extensions == {"gamekeeper.dev/status": {"url": "http://two"}}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("current-context: x", "", id="the current one"),
        pytest.param(
            "current-context: y\ncontexts: [{name: y, context: {}}]", "x", id="a named one"
        ),
        pytest.param("contexts: [{name: x}]", "x", id="one that says nothing"),
    ],
)
def test_a_context_that_is_not_there_is_told_with_the_file(
    tmp_path: Path, text: str, name: str
) -> None:
    file = tmp_path / "a"
    file.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        read_context([file], name)
    assert refused.value.message == f"there is no context 'x' in the kubeconfig {file}"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{", "it is no YAML"), (b"\xff\xfe\xff", "it is no YAML"), (None, "No such file")],
    ids=["broken", "binary", "missing"],
)
def test_a_file_that_somebody_names_must_be_one(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "a"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=words):
        read_context([file], must_exist=True)


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (Path("/x"), {"KUBECONFIG": "/a"}, [Path("/x")]),
        (None, {"KUBECONFIG": os.pathsep.join(["/a", "", "/b"])}, [Path("/a"), Path("/b")]),
        (None, {"HOME": "/home/me"}, [Path("/home/me/.kube/config")]),
    ],
    ids=["the option", "KUBECONFIG", "the home"],
)
def test_which_files_are_read(option, environment, expected) -> None:
    assert kubeconfig_files(option, environment) == expected
