"""Turns reports into GameServer state and owns the pods of GameServerSets."""
