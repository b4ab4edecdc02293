"""Where the kubeconfig of a local cluster may be written."""

from pathlib import Path

import pytest

from localcluster.kubeconfig import check_destination, write_kubeconfig
from shared.errors import InvalidInput

SOMEBODY_ELSE = "clusters: [{name: production, cluster: {}}]\n"
LOST = "FILE holds something else, which would be lost: name a new file"


def written(path: Path) -> Path:
    write_kubeconfig(path, "https://127.0.0.1:1", Path("/ca.crt"), "secret")
    return path


def test_it_is_for_its_owner_alone_even_where_another_file_was(tmp_path):
    path = tmp_path / "config"
    path.touch(mode=0o644)
    written(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "token: secret" in path.read_text()


@pytest.mark.parametrize(
    "content", [None, "", "of a local cluster"], ids=["no file", "an empty file", "one of ours"]
)
def test_a_new_file_or_one_of_ours_may_be_written(tmp_path, content):
    path = tmp_path / "config"
    if content == "":
        path.touch()
    elif content is not None:
        written(path)
    check_destination(path)
    assert path.exists() == (content is not None), "a check writes nothing"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(SOMEBODY_ELSE, LOST, id="another cluster's"),
        pytest.param("a: [", LOST, id="no YAML"),
        pytest.param("7", LOST, id="no mapping"),
        pytest.param("clusters: [{}]", LOST, id="a cluster without a name"),
        pytest.param(b"\xff\xfe", "cannot read FILE: it is no text", id="no text"),
    ],
)
def test_what_a_person_has_there_is_not_lost(tmp_path, content, message):
    path = tmp_path / "config"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidInput) as refused:
        check_destination(path)
    assert refused.value.message == f"kubeconfig: {message.replace('FILE', str(path))}"


def test_a_folder_is_no_file_and_a_missing_one_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read .*: Is a directory"):
        check_destination(tmp_path)
    missing = tmp_path / "none"
    with pytest.raises(InvalidInput, match=f"^Invalid: kubeconfig: there is no folder {missing}$"):
        check_destination(missing / "config")
