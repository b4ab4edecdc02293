"""Environment and volumes from the objects of a namespace, and how they follow them.

Source: https://kubernetes.io/docs/concepts/storage/volumes/,
https://kubernetes.io/docs/concepts/storage/projected-volumes/ and
https://kubernetes.io/docs/concepts/configuration/configmap/ (mounted config maps are updated)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet_cluster import Json, Pods, shell, until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]
BOTH = ["cluster_of_root", "cluster_of_uid_1000"]


def mount(name: str, path: str, **fields: object) -> Json:
    return {"name": name, "mountPath": path, **fields}


@pytest.mark.parametrize("pods", BOTH, indirect=True)
def test_files_follow_their_sources_and_sub_paths_do_not(pods: Pods) -> None:
    pods.apply("ConfigMap", "settings", data={"level": "easy"}, binaryData={"raw": "AAE="})
    pods.apply("Secret", "keys", stringData={"key": "one"})
    labels = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    limit = {
        "path": "memory",
        "resourceFieldRef": {
            "containerName": "main",
            "resource": "limits.memory",
            "divisor": "1Mi",
        },
    }
    volumes: list[Json] = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
        {"name": "pod", "downwardAPI": {"items": [labels, limit]}},
        {"name": "later", "configMap": {"name": "later", "optional": True}},
    ]
    mounts = [
        mount("settings", "/run/settings"),
        mount("settings", "/run/level", subPath="level"),
        mount("keys", "/run/keys"),
        mount("pod", "/run/pod"),
        mount("later", "/run/later"),
    ]
    cpu = {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}
    main = shell(
        "exec sleep 1000",
        volumeMounts=mounts,
        resources={"requests": {"cpu": "0.25"}, "limits": {"memory": "1Gi"}},
        env=[{"name": "MILLIS", "valueFrom": cpu}],
        envFrom=[{"configMapRef": {"name": "absent", "optional": True}}],
    )
    pods.start("game", main, volumes=volumes, metadata={"labels": {"zone": "a"}})
    show = (
        "cd /run; for file in settings/level level keys/key pod/labels pod/memory; do "
        'echo -n "$(cat $file) "; done; echo '
        "$(ls later) $(stat -Lc %a keys/key settings/level) $(od -An -tx1 settings/raw) $MILLIS"
    )
    assert pods.shell("game", show) == 'easy easy one zone="a" 1024 400 644 00 01 250\n'

    pods.apply("ConfigMap", "settings", data={"level": "hard"}, binaryData={"raw": "AAE="})
    pods.apply("ConfigMap", "later", data={"now": "here"})
    pods.apply("Secret", "keys", stringData={"key": "two"})
    pods.kubectl("label", "pod", "game", "--overwrite", "zone=b")

    expected = 'hard easy two zone="b" 1024 now 400 644 00 01 250\n'
    until(lambda: pods.shell("game", show) == expected, "the files follow")
    refused = pods.kubectl("exec", "game", "--", "touch", "/run/settings/x", check=False)
    assert "Read-only file system" in refused.stderr


def test_an_empty_dir_is_shared_and_sub_paths_are_made(pods: Pods) -> None:
    name = {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    writer = shell(
        "echo 1 > /out/a; exec sleep 1000",
        volumeMounts=[mount("shared", "/out", subPathExpr="of/$(NAME)")],
        env=[name],
        terminationMessagePath="/tmp/words",
    )
    reader = shell("exec sleep 1000", "reader", volumeMounts=[mount("shared", "/in")])
    pods.start("game", writer, reader, volumes=[{"name": "shared", "emptyDir": {}}])

    shown = pods.shell(
        "game", "until [ -s /in/of/game/a ]; do :; done; cat /in/of/game/a", "reader"
    )

    assert shown == "1\n"


def test_a_host_folder_is_shown_read_only_or_not_at_all(pods: Pods, tmp_path: Path) -> None:
    (tmp_path / "map.txt").write_text("island")
    volumes = [{"name": "host", "hostPath": {"path": str(tmp_path)}}]
    shown = shell("exec sleep 1000", volumeMounts=[mount("host", "/maps", readOnly=True)])
    refused = shell("exec sleep 1000", volumeMounts=[mount("host", "/maps")])
    pods.start("reads", shown, volumes=volumes)
    pods.start("writes", refused, ready=False, volumes=volumes)

    assert pods.shell("reads", "cat /maps/map.txt; touch /maps/x 2>/dev/null || echo no") == (
        "islandno\n"
    )
    pods.until_event(
        "writes",
        (
            "Failed",
            "Error: volumeMounts host: pods of the local cluster may not write to this machine; "
            "set readOnly: true, or use an emptyDir or a persistentVolumeClaim",
        ),
    )
