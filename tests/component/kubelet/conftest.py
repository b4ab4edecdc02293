"""A kubelet for each test with a fake API, and one shared cluster with a namespace per test."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.kubelet import (
    GAME,
    KubeletUnderTest,
    folder_of_uid_1000,
    running_kubelet,
    write_image,
)
from tests.support.kubelet_cluster import KubeletCluster, Pods, running_cluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def as_uid_1000() -> bool:
    """Whether the kubelet runs as an ordinary user; a module may make it a parameter."""
    return False


@pytest.fixture
def folder(tmp_path: Path, as_uid_1000: bool) -> Iterator[Path]:
    """Where the kubelet under test has its files."""
    if not as_uid_1000:
        yield tmp_path
        return
    with folder_of_uid_1000() as made:
        yield made


@pytest.fixture
async def kubelet(folder: Path, as_uid_1000: bool) -> AsyncIterator[KubeletUnderTest]:
    description = {"command": ["bash", "./start.sh"], "workingDir": "/data", "env": {"MODE": "x"}}
    image = write_image(folder / "game", description, start_sh=GAME)
    async with running_kubelet(folder, {"game": image}, other_user=as_uid_1000) as running:
        yield running


@pytest.fixture(scope="session")
def cluster_of_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeletCluster]:
    """The cluster that tests share; its kubelet runs as the user of the tests."""
    made = tmp_path_factory.mktemp("cluster")
    with running_cluster(made / "api", made) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster_of_uid_1000(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeletCluster]:
    """The same with an unprivileged kubelet."""
    if os.geteuid() != 0:
        pytest.skip("the tests run unprivileged already")
    api = tmp_path_factory.mktemp("cluster")
    with (
        folder_of_uid_1000() as folder,
        running_cluster(api, folder, other_user=True) as cluster,
    ):
        yield cluster


@pytest.fixture
def pods(request: pytest.FixtureRequest) -> Iterator[Pods]:
    """A namespace of the shared cluster; a test may ask for one by `indirect` parameters."""
    name = getattr(request, "param", "cluster_of_root")
    cluster: KubeletCluster = request.getfixturevalue(name)
    namespace = f"test-{secrets.token_hex(4)}"
    cluster.api.kubectl("create", "namespace", namespace)
    yield Pods(cluster.api, namespace)
    quickly = ("--grace-period=1", "--wait=false")
    cluster.api.kubectl("delete", "pods", "--all", "-n", namespace, *quickly)
    cluster.api.kubectl("delete", "namespace", namespace, "--wait=false")
