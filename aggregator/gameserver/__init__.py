"""The GameServer reconciler: state, service-quality actions, mirror labels, conditions."""
