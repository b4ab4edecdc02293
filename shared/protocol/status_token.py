"""The bearer token that opens an agent's /status to callers from elsewhere. Pure.

Theory: the agent shows its service-account token to the aggregator with every report, so the two
share a secret that nobody else has, and that kubelet renews by itself. A MAC of it, keyed by it,
proves that its holder knows that secret without showing it to the network of the pods, and no
further credential has to be made, mounted or rotated. Whoever overhears the derived token can read
one agent's probe results until the next rotation, and nothing else.
"""

from __future__ import annotations

_CONTEXT = b"gamekeeper agent status v1"


def derive_status_token(service_account_token: str) -> str:
    """Return the token for /status of the agent that reports with this service-account token."""
    # Loaded by whoever calls it: half a MiB that an agent which nobody asks never needs.
    import hmac

    return hmac.new(service_account_token.encode(), _CONTEXT, "sha256").hexdigest()
