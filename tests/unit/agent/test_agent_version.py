"""The agent's version is a constant; it must be the distribution's."""

from __future__ import annotations

import tomllib
from pathlib import Path

from agent.version import AGENT_VERSION


def test_the_version_in_reports_is_the_version_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == AGENT_VERSION
