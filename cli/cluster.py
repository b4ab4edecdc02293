"""Gamekeeper on a local cluster: the agent and aggregator of production, on local settings."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shared
from cli.kubeconfig import STATUS_EXTENSION, read_context
from localcluster.cluster import ADDRESS, ClusterOptions, LocalCluster, free_port
from localcluster.programs import HttpReady, ProgramSpec
from shared.crds import custom_resource_definitions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AGENT_IMAGE = "gamekeeper/agent:local"
# The folder that holds the packages: where Python finds the agent without a virtual environment.
_SOURCES = Path(next(iter(shared.__path__))).parent
# Where the agent's containers have what they run.
_AGENT_FOLDER = Path("/opt/gamekeeper")
_AGENT_PYTHON = _AGENT_FOLDER / "python"


@asynccontextmanager
async def gamekeeper_cluster(options: ClusterOptions) -> AsyncIterator[LocalCluster]:
    """Give a local cluster with a running aggregator for the time of the block.

    Args:
        options: images of the games; CRDs and the agent's image are added.

    Raises:
        TerminalError: something did not start; nothing is left running.
    """
    complete = replace(
        options,
        crds=[*options.crds, *custom_resource_definitions()],
        programs={**options.programs, AGENT_IMAGE: agent_image()},
    )
    async with LocalCluster(complete) as cluster:
        status_port = free_port()
        await cluster.start_program(aggregator_program(cluster, status_port))
        url = f"http://{ADDRESS}:{status_port}"
        cluster.add_kubeconfig_extension(STATUS_EXTENSION, {"url": url})
        yield cluster


def status_api_url(cluster: LocalCluster) -> str:
    """Return where the status API of a running cluster is, as its kubeconfig says."""
    context = read_context([cluster.kubeconfig])
    return str(context.extensions[STATUS_EXTENSION]["url"])


def agent_image() -> dict[str, Any]:
    """Return the image.yaml of the agent: this very source, run by this very Python.

    Both are mounted at a place of their own: the agent also runs as a user who may not enter the
    folder, a home for example, in which they lie here.
    """
    prefix = Path(sys.base_prefix).resolve()
    program = _AGENT_PYTHON / Path(sys.executable).resolve().relative_to(prefix)
    sources = {str(_AGENT_FOLDER / name): str(_SOURCES / name) for name in ("agent", "shared")}
    mounts = {str(_AGENT_PYTHON): str(prefix), **sources}
    return {
        # -S: no site-packages, the agent needs none; they cost 3 MiB for each game server.
        "command": [str(program), "-S", "-m", "agent"],
        "env": {
            "PYTHONPATH": str(_AGENT_FOLDER),
            "PYTHONDONTWRITEBYTECODE": "1",
            # A Python that is linked to its library looks for it where it was installed.
            "LD_LIBRARY_PATH": str(_AGENT_PYTHON / "lib"),
        },
        "mounts": [{"source": source, "target": target} for target, source in mounts.items()],
    }


def aggregator_program(cluster: LocalCluster, status_port: int) -> ProgramSpec:
    """Return the aggregator of a local cluster as a program of this machine.

    Args:
        cluster: runs already; gets a certificate for the report port.
        status_port: of the status API, on loopback, without authentication.
    """
    certificate, key, ca_file = cluster.issue_certificate("reports")
    report_port, health_port = free_port(), free_port()
    settings = {
        "KUBECONFIG": str(cluster.aggregator_kubeconfig),
        "REPORT_ADDRESS": ADDRESS,
        "REPORT_PORT": str(report_port),
        "REPORT_TLS_CERTIFICATE_FILE": str(certificate),
        "REPORT_TLS_KEY_FILE": str(key),
        "REPORT_CA_FILE": str(ca_file),
        "REPORT_URLS": f"https://{ADDRESS}:{report_port}",
        "HEALTH_ADDRESS": ADDRESS,
        "HEALTH_PORT": str(health_port),
        "STATUS_ADDRESS": ADDRESS,
        "STATUS_PORT": str(status_port),
        # Who can reach this machine's loopback can read its games: it is for development.
        "STATUS_AUTHENTICATION": "off",
        "AGENT_IMAGE": AGENT_IMAGE,
        "AGENT_IMAGE_PULL_POLICY": "Never",
    }
    return ProgramSpec(
        "aggregator",
        [sys.executable, "-m", "aggregator"],
        HttpReady(lambda: f"http://{ADDRESS}:{health_port}/readyz"),
        {f"GAMEKEEPER_{name}": value for name, value in settings.items()},
    )
