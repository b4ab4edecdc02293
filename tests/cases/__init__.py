"""Runs files of cases against the production functions: `python -m tests.cases KIND FILE`."""
