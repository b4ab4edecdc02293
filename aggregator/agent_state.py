"""What is known of the agent of a pod, in one word. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.protocol.paths import AGENT_CONTAINER_NAME

if TYPE_CHECKING:
    from aggregator.ledger import Ledger
    from aggregator.pods import Pod

REPORTING = "Reporting"
NO_REPORT = "NoReport"  # not yet, to this leader
LOST = "AgentLost"  # silent for three heartbeats
MISSING = "AgentMissing"  # the pod was made without one
NO_POD = "NoPod"
AGENT_STATES = (REPORTING, NO_REPORT, LOST, MISSING, NO_POD)


def agent_state(pod: Pod | None, ledger: Ledger, now: float) -> str:
    """Return one of `AGENT_STATES`.

    Args:
        pod: of the server; None when it does not exist.
        ledger: what was reported.
        now: seconds of the ledger's clock.
    """
    if pod is None:
        return NO_POD
    if not pod.has_container(AGENT_CONTAINER_NAME):
        return MISSING
    if pod.is_probed and ledger.is_lost(pod.metadata.uid, now):
        return LOST
    return NO_REPORT if ledger.get(pod.metadata.uid) is None else REPORTING
