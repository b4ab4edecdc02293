"""A kubelet for each test with a fake API, and one shared cluster with a namespace per test."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

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


@pytest.fixture(scope="module")
def as_uid_1000() -> bool:
    """Whether the kubelet runs as an ordinary user; a module may make it a parameter."""
    return False


@contextlib.contextmanager
def _folder(tmp_path: Path, *, other_user: bool) -> Iterator[Path]:
    if not other_user:
        yield tmp_path
        return
    with folder_of_uid_1000() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, as_uid_1000: bool) -> Iterator[Path]:
    """Where the kubelet under test has its files."""
    with _folder(tmp_path, other_user=as_uid_1000) as made:
        yield made


def _game(folder: Path) -> dict[str, str]:
    """Make the image `game`, which runs for ever; return the mapping of images."""
    description = {"command": ["bash", "./start.sh"], "workingDir": "/data", "env": {"MODE": "x"}}
    return {"game": write_image(folder / "game", description, start_sh=GAME)}


@pytest.fixture
async def kubelet(folder: Path, as_uid_1000: bool) -> AsyncIterator[KubeletUnderTest]:
    """A kubelet that a test may kill."""
    async with running_kubelet(folder, _game(folder), other_user=as_uid_1000) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _kubelet_of_module(
    tmp_path_factory: pytest.TempPathFactory, as_uid_1000: bool
) -> AsyncIterator[KubeletUnderTest]:
    made = tmp_path_factory.mktemp("kubelet")
    with _folder(made, other_user=as_uid_1000) as folder:
        async with running_kubelet(folder, _game(folder), other_user=as_uid_1000) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def shared_kubelet(_kubelet_of_module: KubeletUnderTest) -> AsyncIterator[KubeletUnderTest]:
    """The kubelet of a module whose tests run in the module's event loop; a test leaves no pod."""
    yield _kubelet_of_module
    api = _kubelet_of_module.api
    for _, name in list(api.pods):
        await api.force_delete_pod(name)
    api.forget()


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
