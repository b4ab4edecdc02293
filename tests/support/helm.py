"""The real helm, and what it makes of the chart."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "gamekeeper"
NAMESPACE = "gamekeeper-system"
RELEASE = "gamekeeper"


def helm_program() -> str:
    """Return the path of helm; the test is skipped, or fails under REQUIRE_ALL=1, without it."""
    beside = Path(sys.executable).with_name("helm")
    found = str(beside) if beside.exists() else shutil.which("helm")
    if found is None:
        message = "helm is missing: make setup"
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm to its end."""
    return subprocess.run(
        [helm_program(), *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def render(values: dict[str, Any] | None = None, *options: str) -> list[dict[str, Any]]:
    """Return the objects of the chart with these values; the test fails with what helm says."""
    text = _rendered(tuple(_given(values)), options)
    return [each for each in yaml.safe_load_all(text) if each is not None]


def template(
    values: dict[str, Any] | None = None, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run `helm template` with these values."""
    place = ("--namespace", NAMESPACE)
    return helm("template", RELEASE, str(CHART), *place, *_given(values), *options)


def _given(values: dict[str, Any] | None) -> list[str]:
    return [f"--set-json={key}={json.dumps(value)}" for key, value in (values or {}).items()]


@cache
def _rendered(given: tuple[str, ...], options: tuple[str, ...]) -> str:
    """Return what helm prints: the same for the same arguments, so it is asked once."""
    done = helm("template", RELEASE, str(CHART), "--namespace", NAMESPACE, *given, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by name."""
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def aggregator_container(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one container of the one Deployment."""
    (deployment,) = of_kind(objects, "Deployment").values()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def environment(objects: list[dict[str, Any]], pod: str = "gamekeeper-0") -> dict[str, str]:
    """Return the aggregator's variables, as a kubelet would hand them to this pod."""
    fields = {"metadata.name": pod, "metadata.namespace": NAMESPACE}
    return {
        entry["name"]: entry["value"]
        if "value" in entry
        else fields[entry["valueFrom"]["fieldRef"]["fieldPath"]]
        for entry in aggregator_container(objects)["env"]
    }
