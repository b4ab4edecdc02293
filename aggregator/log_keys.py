"""The keys under which log lines carry data, once, so that queries over logs stay valid. Pure.

At most 25: a key that every line invents for itself can be searched by nobody.
"""

CONTROLLER = "controller"
KEY = "key"  # namespace/name of an object
KIND = "kind"
OUTCOME = "outcome"
REASON = "reason"  # CamelCase, of an error or a condition
MESSAGE = "message"
FIELD = "field"
DURATION_SECONDS = "duration_seconds"
RETRY_SECONDS = "retry_seconds"
FAILURES = "failures"  # in a row
COUNT = "count"
AGENTS = "agents"  # different ones
CHANGED = "changed"  # reports that said something new
OUTCOMES = "outcomes"  # numbers by outcome
CHANGES = "changes"  # what a run wrote
ADDRESS = "address"
VERSION = "version"
