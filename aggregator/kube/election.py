"""Who leads, from what is seen of the lease (SPEC 8.3). Pure.

Rules, for a candidate with an identity that no other process ever has:
1. A lease that does not exist is created; one without a holder is taken.
2. A lease of mine is renewed, whoever else touched the object.
3. A lease of another is taken only after *I* have watched the same record for its whole duration.
   Times inside the record are written by other clocks: they are for people and never compared.
4. I may lead from the moment at which I asked for a write that succeeded, until `renew_deadline`
   later. That is less than the duration, so I have stopped before rule 3 lets anybody start.

Every write carries the version that was decided on, so of two candidates one gets a conflict.
Source: https://kubernetes.io/docs/concepts/architecture/leases/ and client-go
tools/leaderelection (15 s, 10 s, 2 s; a release names nobody).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# A holder without a stated duration is a hand-made lease: it is waited for as for one of ours.
_DEFAULT_DURATION_SECONDS = 15


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """How long a lease holds, in seconds.

    Attributes:
        duration: for how long others leave it alone; a whole number in the API.
        renew_deadline: for how long its holder acts without a renewal; less than the duration.
        retry_period: between two looks or renewals.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_period < self.renew_deadline < self.duration:
            raise ValueError("want 0 < retry_period < renew_deadline < duration")

    @classmethod
    def of_duration(cls, seconds: int) -> LeaseTimes:
        """Return times in the proportions of 15, 10 and 2 s."""
        return cls(seconds, seconds * 10 / 15, seconds * 2 / 15)


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """What a lease says, and its version.

    Attributes:
        holder: identity of the leader; empty for nobody.
        duration: seconds that its holder asks for.
        acquired: acquireTime as it stands there.
        transitions: how often the holder changed.
    """

    holder: str
    duration: float
    acquired: str
    transitions: int
    resource_version: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record, and when this process first saw it: seconds of its own clock."""

    record: LeaseRecord | None
    since: float


@dataclass(frozen=True, slots=True)
class Create:
    """Create the lease, in my name."""


@dataclass(frozen=True, slots=True)
class Renew:
    """Say that I am still here."""


@dataclass(frozen=True, slots=True)
class Take:
    """Put my name where another's or none was."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Another leads."""

    holder: str


Step = Create | Renew | Take | Wait


def decide(seen: Sighting, identity: str, now: float) -> Step:
    """Return what to do about the lease as it was last seen; `now` is on the clock of `seen`."""
    record = seen.record
    if record is None:
        return Create()
    if record.holder == identity:
        return Renew()
    if not record.holder or now - seen.since >= record.duration:
        return Take()
    return Wait(record.holder)


def sight(before: Sighting | None, record: LeaseRecord | None, now: float) -> Sighting:
    """Return what is known after a look: the same record as before has been there since then."""
    if before is not None and before.record == record:
        return before
    return Sighting(record, now)


def parse_lease(body: dict[str, Any]) -> LeaseRecord:
    """Return what a Lease object says; fields that a person emptied count as absent."""
    spec = body.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration=spec.get("leaseDurationSeconds") or _DEFAULT_DURATION_SECONDS,
        acquired=spec.get("acquireTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
        resource_version=body["metadata"]["resourceVersion"],
    )


def claimed_spec(
    before: LeaseRecord | None, identity: str, duration: int, now: datetime
) -> dict[str, Any]:
    """Return the spec of the lease in my name.

    Args:
        before: the record that it replaces.
        identity: mine.
        duration: seconds.
        now: wall-clock time, for people.
    """
    stamp = _micro_time(now)
    mine = before is not None and before.holder == identity
    # As client-go counts: the first holder of a lease is no transition.
    transitions = 0 if before is None else before.transitions + (0 if mine else 1)
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": duration,
        "acquireTime": before.acquired if mine and before is not None else stamp,
        "renewTime": stamp,
        "leaseTransitions": transitions,
    }


def released_spec(now: datetime) -> dict[str, Any]:
    """Return what a leader writes when it steps down: nobody holds it, nobody needs to wait."""
    stamp = _micro_time(now)
    return {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": stamp}


def _micro_time(moment: datetime) -> str:
    """Return a time as a Lease has it. NB: a MicroTime without six decimals is refused with 400."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
