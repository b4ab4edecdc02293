"""Who may read /status from elsewhere: the token derived from the agent's own, as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.access import StatusAccess
from shared.protocol.status_token import derive_status_token

if TYPE_CHECKING:
    from pathlib import Path


def test_the_derived_token_is_a_promise_between_versions() -> None:
    assert derive_status_token("a service account token") == (
        "ca17fafc80113c46eacee20b16b77b365f98a92f12e417d34929c1796cdf44ed"
    )


@pytest.mark.parametrize(
    ("presented", "allowed"),
    [
        pytest.param(derive_status_token("secret"), True, id="derived"),
        pytest.param("secret", False, id="the secret itself"),
        pytest.param(derive_status_token("secret").upper(), False, id="another case"),
        pytest.param(derive_status_token("old"), False, id="of a token before"),
        pytest.param("\u00e9", False, id="beyond ASCII"),
        pytest.param("", False, id="empty"),
    ],
)
def test_only_the_derived_token_opens(tmp_path: Path, presented: str, *, allowed: bool) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert StatusAccess(str(tmp_path / "token")).allows(presented) is allowed


def test_a_rotated_token_opens_at_once(tmp_path: Path) -> None:
    file = tmp_path / "token"
    access = StatusAccess(str(file))
    file.write_text("first")
    assert access.allows(derive_status_token("first"))
    file.write_text("second")
    assert [access.allows(derive_status_token(each)) for each in ("first", "second")] == [
        False,
        True,
    ]


@pytest.mark.parametrize("content", [None, "", " \n"], ids=["missing", "empty", "blank"])
def test_without_a_token_of_its_own_nobody_is_let_in(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    access = StatusAccess(str(tmp_path / "token"))
    assert [access.allows(each) for each in ("", derive_status_token(""))] == [False, False]
