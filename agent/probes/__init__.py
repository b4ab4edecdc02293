"""Probe handlers: each turns one run into an Outcome."""
