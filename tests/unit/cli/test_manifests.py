"""What is read of a manifest before anything is started for it."""

from pathlib import Path

import pytest
import yaml

from cli.manifests import check_manifest
from shared.errors import InvalidInput

SET = {
    "apiVersion": "game.kruise.io/v1alpha1",
    "kind": "GameServerSet",
    "metadata": {"name": "minecraft"},
    "spec": {
        "replicas": 1,
        "gameServerTemplate": {"spec": {"containers": [{"name": "game", "image": "game:1"}]}},
    },
}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dta": {}}


def with_spec(**fields) -> dict:
    spec = {key: value for key, value in (SET["spec"] | fields).items() if value is not None}
    return SET | {"spec": spec}


@pytest.mark.parametrize(
    "documents",
    [
        pytest.param([SET], id="a set"),
        pytest.param([CONFIG, None, SET], id="other kinds are the API server's to check"),
        pytest.param([SET | {"metadata": {"generateName": "a-"}}], id="a name to be made"),
        pytest.param(
            [with_spec(replicas=None) | {"apiVersion": "game.kruise.io/v2"}],
            id="a version that we do not know",
        ),
    ],
)
def test_what_may_be_good_is_applied(tmp_path: Path, documents: list[object]) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    check_manifest(file)


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        pytest.param([], "FILE: it holds no object", id="nothing"),
        pytest.param([None], "FILE: it holds no object", id="empty documents"),
        pytest.param([7], "FILE: document 1 needs apiVersion and kind", id="a number"),
        pytest.param(
            [CONFIG, {"kind": "Pod"}],
            "FILE: document 2 needs apiVersion and kind",
            id="no version",
        ),
        pytest.param(
            [CONFIG, with_spec(replicas=None)],
            "FILE, document 2: spec.replicas: Required value",
            id="a field is missing",
        ),
        pytest.param(
            [with_spec(replica=1, serviceQualitys=[])],
            "FILE, document 1: spec.replica: there is no such field (and 1 more)",
            id="two typing mistakes",
        ),
    ],
)
def test_what_cannot_be_applied_is_named_before_a_cluster_is_started(
    tmp_path: Path, documents: list[object], message: str
) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(InvalidInput) as refused:
        check_manifest(file)
    assert refused.value.message == message.replace("FILE", str(file))
