"""Faults on purpose: which requests meet which fault. Pure; fault_injection.py makes them happen.

A rule says what requests it is about and what happens to them. Rules are asked in the order in
which they were added; delays and holds add up, and the first other fault ends the search.

| action | what the client meets |
| --- | --- |
| delay | the answer comes `seconds` later |
| hold | nothing is done before the rule is taken away: a request that is on its way for long |
| conflict | 409 |
| throttle | 429 with Retry-After: `seconds`, at least 1 |
| error | 500 |
| gone | 410; as an ERROR event where the request is a watch |
| drop | a watch, open or new, ends in the middle after `seconds` |
| close-before | the connection closes, and nothing was done |
| close-after | the connection closes, and the write was done: the answer is lost |
| stale | reads answer with the state of when the rule was added, watches are silent |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from localcluster.apiserver.attributes import Attributes

ACTIONS = (
    "delay", "hold", "conflict", "throttle", "error", "gone", "drop", "close-before", "close-after",
    "stale"
)  # fmt: skip
# What only takes time: the request goes on to the next rule.
WAITS = ("delay", "hold")
ANY = "*"
_ON_READS = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class FaultRule:
    """What happens to which requests; `*` stands for all.

    Args:
        action: one of ACTIONS.
        verb: of the request.
        resource: plural, with a subresource as in pods/status, or pods/* for all of them.
        namespace: of the request; empty is the cluster scope.
        name: of the object; of what is created too only if it stands in the path.
        user: who asks.
        probability: that a matching request meets the fault, 0 to 1.
        count: how many requests meet it before the rule ends; None for no end.
        seconds: of a delay, before a drop, or of Retry-After.
    """

    action: str
    verb: str = ANY
    resource: str = ANY
    namespace: str = ANY
    name: str = ANY
    user: str = ANY
    probability: float = 1.0
    count: int | None = None
    seconds: float = 0.0

    def matches(self, user: str, attributes: Attributes) -> bool:
        """Return whether the rule is about a request."""
        if self.action == "stale" and attributes.verb not in _ON_READS:
            return False
        if self.action == "drop" and attributes.verb != "watch":
            return False
        resources = (ANY, attributes.qualified_resource, f"{attributes.resource}/*")
        return self.resource in resources and all(
            wanted in (ANY, actual)
            for wanted, actual in (
                (self.verb, attributes.verb),
                (self.namespace, attributes.namespace),
                (self.name, attributes.name),
                (self.user, user),
            )
        )


@dataclass(slots=True, eq=False)
class Fault:
    """A rule in force.

    Args:
        number: its name in the control endpoint.
        rule: what it does.
        hits: how many requests met it.
    """

    number: int
    rule: FaultRule
    hits: int = 0

    @property
    def is_over(self) -> bool:
        """Whether its count is used up."""
        return self.rule.count is not None and self.hits >= self.rule.count

    def described(self) -> dict[str, Any]:
        """Return it as the control endpoint shows it."""
        return {"id": self.number, **asdict(self.rule), "hits": self.hits}


@dataclass(slots=True, eq=False)
class Faults:
    """The rules in force.

    Args:
        draw: gives numbers from 0 up to 1, evenly.
        rules: in the order in which they are asked.
    """

    draw: Callable[[], float]
    rules: list[Fault] = field(default_factory=list)
    _last: int = 0

    def add(self, rule: FaultRule) -> Fault:
        """Put a rule in force."""
        self._last += 1
        fault = Fault(self._last, rule)
        self.rules.append(fault)
        return fault

    def remove(self, number: int) -> bool:
        """Take a rule out of force and return whether it was there."""
        kept = [fault for fault in self.rules if fault.number != number]
        found = len(kept) < len(self.rules)
        self.rules[:] = kept
        return found

    def due(self, user: str, attributes: Attributes) -> Iterator[Fault]:
        """Yield the faults a request meets, each counted: waits, then at most one other."""
        for fault in self.rules:
            if self.strikes(fault, user, attributes):
                yield fault
                if fault.rule.action not in WAITS:
                    return

    def strikes(self, fault: Fault, user: str, attributes: Attributes) -> bool:
        """Return whether a request meets one fault, and count it if so."""
        if fault.is_over or not fault.rule.matches(user, attributes):
            return False
        if self.draw() >= fault.rule.probability:
            return False
        fault.hits += 1
        return True


def parse_fault(text: str) -> FaultRule:
    """Return the rule of a command line: `action=error,verb=create,resource=pods,count=2`.

    Raises:
        InvalidInput: of the field `--fault`.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(separator for _, separator, _ in pairs):
        raise InvalidInput("--fault", f"{text!r} is not of the form action=error,verb=create,...")
    return make_fault({key.strip(): value for key, _, value in pairs}, "--fault")


def make_fault(given: Mapping[str, Any], where: str) -> FaultRule:
    """Return the rule that an object describes.

    Args:
        given: the fields of FaultRule; numbers may be texts.
        where: what a refusal names.

    Raises:
        InvalidInput: a field is unknown or out of range.
    """
    known = {each.name for each in fields(FaultRule)}
    unknown = sorted(given.keys() - known)
    if unknown:
        listed = ", ".join(sorted(known))
        raise InvalidInput(where, f"{unknown[0]} is unknown; the fields are {listed}")
    if given.get("action") not in ACTIONS:
        raise InvalidInput(where, f"action must be one of {', '.join(ACTIONS)}")
    probability = _number(given, "probability", 1.0, where)
    if probability > 1:
        raise InvalidInput(where, "probability must be between 0 and 1")
    counted = given.get("count") is not None
    texts = {key: str(given[key]) for key in ("verb", "resource", "namespace", "name", "user")
             if key in given}  # fmt: skip
    return FaultRule(
        action=given["action"],
        probability=probability,
        count=int(_number(given, "count", 0, where)) if counted else None,
        seconds=_number(given, "seconds", 0.0, where),
        **texts,
    )


def _number(given: Mapping[str, Any], name: str, default: float, where: str) -> float:
    value = given.get(name, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not number >= 0:
        raise InvalidInput(where, f"{name} must be a number of at least 0, not {value!r}")
    return number
