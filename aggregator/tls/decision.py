"""What to do with the certificates in the Secret now. Pure: the clock and the names are arguments.

Theory: agents learn of a new authority through a ConfigMap, which a kubelet shows to them up to two
minutes later. So a new authority is first only added to what agents trust, and signs nothing until
it has spread; the old ones stay trusted for as long as anything may show a certificate of theirs.

| what is seen | then |
| --- | --- |
| no usable authority: absent, damaged, key lost, time over or not yet come | a new authority |
| no usable certificate: the same, or a name is missing in it | a new certificate |
| the certificate ends in less than 30 days, and the newest authority has spread | a new one |
| the newest authority ends in less than a year | another authority is added; nothing else |
| the certificate is of an older authority, and the newest has spread | a new certificate |

"Not yet come" is what a clock that was wrong leaves behind. A name more than wanted is no reason:
during a rolling upgrade two versions may want different ones, and would undo each other's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from aggregator.tls.stored import Leaf, Stored

AUTHORITY_LIFETIME = timedelta(days=5 * 365)
AUTHORITY_RENEWAL = timedelta(days=365)
LEAF_LIFETIME = timedelta(days=90)
LEAF_RENEWAL = timedelta(days=30)
# A kubelet refreshes ConfigMap volumes within two minutes; nodes may be cut off for some hours.
SPREADING = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Keep:
    """Everything is as it should be.

    Attributes:
        until: when something will be due, if nobody changes anything before.
    """

    until: datetime


@dataclass(frozen=True, slots=True)
class Renew:
    """Make what is named, and store it.

    Attributes:
        authority: a new authority is put before the others.
        leaf: a new certificate, signed by the newest authority, that one included.
        reason: for people, why.
    """

    authority: bool
    leaf: bool
    reason: str


def decide(stored: Stored | None, wanted: frozenset[str], now: datetime) -> Keep | Renew:
    """Return what to do.

    Args:
        stored: what the Secret holds; None when there is no Secret.
        wanted: DNS names and IP addresses that agents use.
        now: the time.
    """
    if stored is None:
        return Renew(authority=True, leaf=True, reason="there is no Secret yet")
    authority_fault = _authority_fault(stored, now)
    leaf_fault = _leaf_fault(stored.leaf, wanted, now)
    if authority_fault or leaf_fault:
        reason = "; ".join(filter(None, (authority_fault, leaf_fault)))
        return Renew(authority=bool(authority_fault), leaf=bool(leaf_fault), reason=reason)
    assert stored.leaf is not None  # noqa: S101 - for the type checker: it has no fault
    return _schedule(stored, stored.leaf, now)


def _schedule(stored: Stored, leaf: Leaf, now: datetime) -> Keep | Renew:
    """Return what is due of parts that are all usable."""
    newest = stored.authorities[0]
    spread = newest.since + SPREADING
    replaced = leaf.until - LEAF_RENEWAL if leaf.issuer == 0 else spread
    # NB: while an authority spreads, nothing is signed by it unless it must be.
    leaf_due = max(replaced, spread) if len(stored.authorities) > 1 else replaced
    authority_due = newest.until - AUTHORITY_RENEWAL
    if now >= leaf_due:
        why = "ends soon" if leaf.issuer == 0 else "is of an older authority"
        return Renew(authority=False, leaf=True, reason=f"the certificate {why}")
    if now >= authority_due:
        return Renew(authority=True, leaf=False, reason="the authority ends in less than a year")
    return Keep(min(leaf_due, authority_due, leaf.until))


def _authority_fault(stored: Stored, now: datetime) -> str:
    if not stored.authorities:
        return "there is no usable authority"
    newest = stored.authorities[0]
    if stored.authority_key is None:
        return "the authority's key is missing or damaged"
    return _time_fault("the authority", newest.since, newest.until, now)


def _leaf_fault(leaf: Leaf | None, wanted: frozenset[str], now: datetime) -> str:
    if leaf is None:
        return "there is no usable certificate"
    missing = wanted - leaf.names
    if missing:
        return f"the certificate is not for {_listed(missing)}"
    return _time_fault("the certificate", leaf.since, leaf.until, now)


def _time_fault(what: str, since: datetime, until: datetime, now: datetime) -> str:
    if now < since:
        return f"{what} is not valid yet: the clock was or is wrong"
    return f"{what} has expired" if now >= until else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
