"""The kinds that `gamekeeper explain` knows, by every name that kubectl knows them by."""

from __future__ import annotations

SERVERS = "gameservers"
SETS = "gameserversets"
AUTOSCALERS = "autoscalers"

# The path of each in the status API.
KINDS = (
    dict.fromkeys(("gs", "gameserver", "gameservers"), SERVERS)
    | dict.fromkeys(("gss", "gameserverset", "gameserversets"), SETS)
    | dict.fromkeys(("gssa", "gameserversetautoscaler", "gameserversetautoscalers"), AUTOSCALERS)
)
