"""The GameServerSet reconciler: which servers exist."""
