"""What is done with the certificates in the Secret, at every time of their lives."""

import base64
from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.tls.decision import Keep, Renew, decide
from aggregator.tls.issuing import CLOCK_SKEW, bundle, leaf_pem, renew, secret_data
from aggregator.tls.stored import Stored, parse_secret
from tests.unit.aggregator.tls.conftest import AUTHORITY, BOTH, LEAF, NOW, WANTED

DAY = timedelta(days=1)
YEAR = 365 * DAY


def renewal(reason, *, authority=False, leaf=False):
    return Renew(authority, leaf, reason)


def test_the_first_secret_holds_everything():
    expected = renewal("there is no Secret yet", authority=True, leaf=True)
    assert decide(None, WANTED, NOW) == expected


@pytest.mark.parametrize(
    ("after", "step"),
    [
        pytest.param(timedelta(0), Keep(NOW + 60 * DAY), id="just made"),
        pytest.param(60 * DAY - timedelta(seconds=1), Keep(NOW + 60 * DAY), id="not due"),
        pytest.param(60 * DAY, renewal("the certificate ends soon", leaf=True), id="due"),
        pytest.param(90 * DAY, renewal("the certificate has expired", leaf=True), id="expired"),
        pytest.param(
            5 * YEAR,
            renewal(
                "the authority has expired; the certificate has expired", authority=True, leaf=True
            ),
            id="everything expired, or the clock jumped ahead",
        ),
        pytest.param(-CLOCK_SKEW, Keep(NOW + 60 * DAY), id="a clock that is a little behind"),
        pytest.param(
            -DAY,
            renewal(
                "the authority is not valid yet: the clock was or is wrong; "
                "the certificate is not valid yet: the clock was or is wrong",
                authority=True,
                leaf=True,
            ),
            id="made by a clock that was ahead",
        ),
    ],
)
def test_time_passes_over_one_authority(fresh, after, step):
    assert decide(fresh, WANTED, NOW + after) == step


def test_an_authority_is_followed_before_it_ends_and_signs_only_once_it_has_spread(fresh):
    now = NOW + 4 * YEAR
    served = renew(fresh, LEAF, WANTED, now)
    due = decide(served, WANTED, now)
    assert due == renewal("the authority ends in less than a year", authority=True)
    both = renew(served, due, WANTED, now)
    # The certificate in use stays, and agents are told of both authorities.
    assert leaf_pem(both.leaf) == leaf_pem(served.leaf)
    assert [each.since for each in both.authorities] == [now - CLOCK_SKEW, NOW - CLOCK_SKEW]
    spread = now - CLOCK_SKEW + DAY
    assert decide(both, WANTED, now) == Keep(spread)
    then = decide(both, WANTED, spread)
    assert then == renewal("the certificate is of an older authority", leaf=True)
    after = renew(both, then, WANTED, spread)
    assert (after.leaf.issuer, after.authorities) == (0, both.authorities)
    assert decide(after, WANTED, spread) == Keep(spread + 60 * DAY)


def test_a_certificate_that_is_due_waits_for_the_authority_to_spread(fresh):
    now = NOW + 60 * DAY
    both = renew(fresh, AUTHORITY, WANTED, now)
    assert decide(both, WANTED, now) == Keep(now - CLOCK_SKEW + DAY)


def test_a_certificate_that_would_end_before_is_looked_at_when_it_ends(fresh):
    now = NOW + 90 * DAY - timedelta(hours=2)
    both = renew(fresh, AUTHORITY, WANTED, now)
    assert decide(both, WANTED, now) == Keep(NOW + 90 * DAY)


@pytest.mark.parametrize(
    ("wanted", "step"),
    [
        (WANTED, Keep(NOW + 60 * DAY)),
        (WANTED - {"10.0.0.9"}, Keep(NOW + 60 * DAY)),
        (WANTED | {"10.0.0.7"}, renewal("the certificate is not for 10.0.0.7", leaf=True)),
    ],
    ids=[
        "the same names",
        "one less: an older version may be running",
        "the Service was made anew",
    ],
)
def test_names(fresh, wanted, step):
    assert decide(fresh, wanted, NOW) == step


def damaged(stored, **entries):
    """The Secret with some entries replaced; None takes one away."""
    data = secret_data(stored) | {
        name.replace("_", "."): None if text is None else base64.b64encode(text.encode()).decode()
        for name, text in entries.items()
    }
    return parse_secret({"data": {name: text for name, text in data.items() if text is not None}})


NO_KEY = "the authority's key is missing or damaged"
NO_LEAF = "there is no usable certificate"
NOTHING = f"there is no usable authority; {NO_LEAF}"


@pytest.mark.parametrize(
    ("entries", "step"),
    [
        pytest.param({"ca_key": None}, renewal(NO_KEY, authority=True), id="the CA's key lost"),
        pytest.param({"ca_key": "x"}, renewal(NO_KEY, authority=True), id="the CA's key damaged"),
        pytest.param({"tls_key": None}, renewal(NO_LEAF, leaf=True), id="the key lost"),
        pytest.param({"tls_key": "-----"}, renewal(NO_LEAF, leaf=True), id="the key damaged"),
        pytest.param({"tls_crt": ""}, renewal(NO_LEAF, leaf=True), id="the certificate empty"),
        pytest.param(
            {"tls_crt": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"},
            renewal(NO_LEAF, leaf=True),
            id="the certificate cut off inside",
        ),
        pytest.param(
            {"ca_crt": "", "ca_key": ""},
            renewal(NOTHING, authority=True, leaf=True),
            id="no authority: the certificate is nobody's",
        ),
        pytest.param(
            dict.fromkeys(("ca_crt", "ca_key", "tls_crt", "tls_key")),
            renewal(NOTHING, authority=True, leaf=True),
            id="everything gone",
        ),
    ],
)
def test_damage_costs_only_what_is_damaged(fresh, entries, step):
    assert decide(damaged(fresh, **entries), WANTED, NOW) == step


def test_the_keys_of_another_pair_are_damage(fresh):
    other = secret_data(renew(Stored(), BOTH, WANTED, NOW))
    own = secret_data(fresh)
    assert decide(parse_secret({"data": own | {"ca.key": other["ca.key"]}}), WANTED, NOW) == (
        renewal(NO_KEY, authority=True)
    )
    assert decide(parse_secret({"data": own | {"tls.key": other["tls.key"]}}), WANTED, NOW) == (
        renewal(NO_LEAF, leaf=True)
    )
    foreign = own | {"tls.crt": other["tls.crt"], "tls.key": other["tls.key"]}
    assert decide(parse_secret({"data": foreign}), WANTED, NOW) == renewal(NO_LEAF, leaf=True)


@pytest.mark.parametrize(
    "body", [{}, {"data": None}, {"data": []}, {"data": {"ca.crt": 1, "ca.key": "%"}}], ids=str
)
def test_a_secret_of_another_shape_is_an_empty_one(body):
    assert parse_secret(body) == Stored()


def test_a_leaf_is_no_authority(fresh):
    assert damaged(fresh, ca_crt=leaf_pem(fresh.leaf)).authorities == ()


def test_one_damaged_authority_does_not_cost_the_others(fresh):
    cut = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    assert damaged(fresh, ca_crt=cut + bundle(fresh)).authorities == fresh.authorities


def test_what_is_stored_is_read_back(fresh):
    again = parse_secret({"data": secret_data(fresh)})
    assert secret_data(again) == secret_data(fresh)
    assert (again.leaf.issuer, again.leaf.names) == (0, WANTED)


def test_a_lost_key_keeps_the_certificate_that_agents_trust(fresh):
    lost = replace(fresh, authority_key=None)
    step = decide(lost, WANTED, NOW)
    mended = parse_secret({"data": secret_data(renew(lost, step, WANTED, NOW))})
    assert leaf_pem(mended.leaf) == leaf_pem(fresh.leaf)
    assert mended.authorities[1:] == fresh.authorities
    assert isinstance(decide(mended, WANTED, NOW), Keep)


def test_after_a_clock_that_was_ahead_the_former_authority_is_still_trusted(fresh):
    ahead = NOW + 10 * YEAR
    jumped = renew(fresh, decide(fresh, WANTED, ahead), WANTED, ahead)
    mended = renew(jumped, decide(jumped, WANTED, NOW), WANTED, NOW)
    assert mended.authorities[2:] == fresh.authorities
    assert isinstance(decide(mended, WANTED, NOW), Keep)


def test_the_bundle_is_bounded_and_a_certificate_never_outlives_its_authority_in_it(fresh):
    stored = fresh
    for _ in range(5):
        stored = renew(stored, AUTHORITY, WANTED, NOW)
    assert len(stored.authorities) == 4
    read = parse_secret({"data": secret_data(stored)})
    assert read.leaf.issuer < 4
    assert isinstance(decide(read, WANTED, NOW), Keep)


def test_a_certificate_ends_with_its_authority_at_the_latest(fresh):
    late = renew(fresh, LEAF, WANTED, NOW + 5 * YEAR - 3 * DAY)
    assert late.leaf.until == fresh.authorities[0].until


def test_no_key_is_shown(fresh):
    assert "PrivateKey" not in repr(fresh)
