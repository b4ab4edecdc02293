"""Who may read /status from beyond the pod: holders of the derived token (SPEC 9.1)."""

from __future__ import annotations

from shared.protocol.status_token import derive_status_token


class StatusAccess:
    """Compares bearer tokens with the one that the agent's own token gives.

    Args:
        token_file: the projected service-account token; read for every question, because it
            rotates. The aggregator knows the newest one from the last report.
    """

    def __init__(self, token_file: str) -> None:
        self._token_file = token_file

    def allows(self, presented: str) -> bool:
        """Return whether this is the token; how long that takes does not tell how near it was."""
        try:
            with open(self._token_file, encoding="ascii", errors="replace") as file:
                own = "".join(file.read().split())
        except OSError:
            return False
        if not own:
            return False
        from hmac import compare_digest

        return compare_digest(presented.encode(), derive_status_token(own).encode())
