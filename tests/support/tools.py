"""Skips a test whose program is missing, naming the package; REQUIRE_ALL=1 makes that a failure."""

from __future__ import annotations

import os
import shutil

import pytest


def require(program: str, package: str) -> None:
    """Return if `program` is installed; otherwise skip the test, or fail it under REQUIRE_ALL=1."""
    if shutil.which(program) is not None:
        return
    message = f"{program} is missing: install the package {package}"
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(message)
    pytest.skip(message)
