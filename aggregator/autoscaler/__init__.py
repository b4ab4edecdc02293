"""The GameServerSetAutoscaler reconciler: grows a set, and removes exactly those that may go."""
