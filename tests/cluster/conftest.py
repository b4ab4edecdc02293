"""The cluster under test: the one of `--kubeconfig FILE`, or else `gamekeeper local`.

Tests take the fixture `open_cluster`. What holds for one of the two only is marked `local_only` or
`installed_only`, with the reason why the other cannot show it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.given_cluster import GivenCluster, check_games, open_given
from tests.support.image_references import chart_values
from tests.support.installation import Given, Installation
from tests.support.local import open_local

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from tests.support.cluster import Cluster, OpenCluster

_FOLDER = Path(__file__).parent
# Images of Ubuntu have bash, coreutils and ps, unlike many others.
_GAMES = ("docker.io/library/ubuntu:24.04", "docker.io/library/ubuntu:22.04")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is not for this kind of cluster."""
    own = [each for each in items if each.path.is_relative_to(_FOLDER)]
    given = _given(config) if own else None
    for item in own:
        mark = item.get_closest_marker("local_only" if given else "installed_only")
        if mark is not None:
            item.add_marker(pytest.mark.skip(reason=f"{mark.name}: {mark.kwargs['reason']}"))


def _given(config: pytest.Config) -> Given | None:
    """Return what the command line says about a cluster; None for `gamekeeper local`."""
    kubeconfig: Path | None = config.getoption("--kubeconfig")
    if kubeconfig is None:
        return None
    if not kubeconfig.is_file():
        raise pytest.UsageError(f"--kubeconfig {kubeconfig}: there is no such file")
    agent, aggregator = (config.getoption(f"--{name}-image") for name in ("agent", "aggregator"))
    if not (agent and aggregator):
        raise pytest.UsageError("tests/cluster needs --agent-image and --aggregator-image, too")
    try:
        chart_values(agent), chart_values(aggregator)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    return Given(
        kubeconfig.absolute(),
        agent,
        aggregator,
        config.getoption("--game-image") or _GAMES,
        [each.absolute() for each in config.getoption("--chart-values")],
        config.getoption("--status-url"),
    )


@pytest.fixture(scope="session")
def installation(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation | None]:
    """Gamekeeper on the given cluster, for the session; None where each test starts its own."""
    given = _given(pytestconfig)
    if given is None:
        yield None
        return
    made = Installation(given, tmp_path_factory.mktemp("installation"))
    made.refuse_another()
    try:
        check_games(made)
        made.install()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def open_cluster(
    installation: Installation | None, tmp_path_factory: pytest.TempPathFactory
) -> OpenCluster:
    """Give clusters: a `gamekeeper local` each, or a namespace each of the given one."""

    def opened(
        images: Mapping[str, Path] | None = None, files: Sequence[Path] = ()
    ) -> AbstractContextManager[Cluster]:
        if installation is None:
            return open_local(tmp_path_factory.mktemp("cluster"), images or {}, files)
        return open_given(installation, images or {}, files)

    return opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failure on a given cluster what was going on there: it may be far away."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, GivenCluster):
        for title, text in cluster.story().items():
            report.sections.append((title, text))
    return report


def pytest_report_header(config: pytest.Config) -> str:
    """Say which cluster it is."""
    return f"cluster: {config.getoption('--kubeconfig') or 'gamekeeper local'}"
