"""The agent's version, as it stands in reports. A constant: reading package metadata costs memory."""

AGENT_VERSION = "0.1.0"
