"""The agent's version, as reports state it. A constant: package metadata costs memory."""

AGENT_VERSION = "0.1.0"
