"""Bad reports get the right status, a clear body, a count and a place in the log: no effect."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from structlog.testing import capture_logs

from aggregator.intake.auth import NotAPod
from aggregator.kube.errors import Unavailable, shorten
from tests.support.intake_world import Aggregator, post, report

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

KEY = "games/minecraft-0"
_NO_TOKEN = {
    "reason": "Unauthenticated",
    "message": "send the header Authorization: Bearer <token>",
}
_BAD_TOKEN = {"reason": "Unauthenticated", "message": "the token is not valid"}
_STALE = {"reason": "Stale", "message": "a newer report was accepted"}


def invalid(message: str, path: str | None = None) -> dict[str, Any]:
    return {"reason": "Invalid", "message": message} | ({"field": path} if path else {})


# What follows the colon are the parser's own words, and a column.
_NOT_JSON = invalid("Invalid JSON")


@dataclass(frozen=True)
class BadRequest:
    """A request that must be refused, and how.

    Attributes:
        answer: the whole body.
        sender: whom the log names, as far as the token says.
        before: reports that were taken earlier.
        failure: of the API server, when it is asked about the token.
        retry_after: the header, if there must be one.
    """

    status: int
    answer: dict[str, Any]
    body: Any = field(default_factory=report)
    headers: dict[str, str] = field(default_factory=dict)
    sender: str | None = KEY
    before: tuple[Any, ...] = ()
    failure: Exception | None = None
    retry_after: str | None = None


def stranger(answer: dict[str, Any], authorization: str) -> BadRequest:
    return BadRequest(401, answer, headers={"Authorization": authorization}, sender=None)


def one_probe(**fields: Any) -> dict[str, Any]:
    return report(probes=[{"name": "a", "status": "True"} | fields])


BAD = {
    "malformed: nothing": BadRequest(400, _NOT_JSON, b""),
    "malformed: binary": BadRequest(400, _NOT_JSON, b"\x00\xff"),
    "malformed: half an object": BadRequest(400, _NOT_JSON, b"{"),
    "malformed: a list": BadRequest(400, invalid("Input should be an object"), b"[]"),
    "malformed: an empty object": BadRequest(400, invalid("podUid: is required", "podUid"), b"{}"),
    "malformed: an unknown field": BadRequest(
        400, invalid("hack: is no field of a report", "hack"), report(hack=1)
    ),
    "malformed: brackets without end": BadRequest(400, _NOT_JSON, b"[" * 60_000),
    "malformed: half a surrogate": BadRequest(
        400,
        _NOT_JSON,
        json.dumps(report(agentVersion="\ud800")).encode(),
    ),
    "malformed: a status that is a number": BadRequest(
        400,
        invalid(
            "probes[0].status: Input should be 'True', 'False' or 'Unknown'", "probes[0].status"
        ),
        one_probe(status=1),
    ),
    "malformed: a probe without a name": BadRequest(
        400,
        invalid("probes[0].name: is required", "probes[0].name"),
        report(probes=[{"status": "True"}]),
    ),
    "out of bounds: a number with a thousand digits": BadRequest(
        400,
        invalid("must be between 0 and 9007199254740991", "epoch"),
        json.dumps(report()).encode().replace(b'"epoch": 1', b'"epoch": ' + b"9" * 1000),
    ),
    "out of bounds: a sequence of zero": BadRequest(
        400, invalid("must be between 1 and 9007199254740991", "sequence"), report(sequence=0)
    ),
    "out of bounds: less than no run": BadRequest(
        400, invalid("must be between 0 and 9007199254740991", "probes[0].runs"), one_probe(runs=-1)
    ),
    "oversized: more than 64 KiB": BadRequest(
        413,
        {"reason": "RequestEntityTooLarge", "message": "a report has at most 65536 bytes"},
        report(agentVersion="v" * 65_536),
    ),
    "oversized: more than 64 probes": BadRequest(
        400,
        invalid("must be a list of at most 64 objects", "probes"),
        report(probes=[{"name": f"p{n}", "status": "True"} for n in range(65)]),
    ),
    "foreign: another pod": BadRequest(
        403,
        {"reason": "ForeignPod", "message": "the token belongs to another pod", "field": "podUid"},
        report(podUid="uid-1"),
    ),
    "foreign: a token of no pod": BadRequest(
        403,
        {"reason": "NotAPod", "message": "the token of 'alice' is not bound to a pod"},
        sender=None,
        failure=NotAPod("the token of 'alice' is not bound to a pod"),
    ),
    "replayed: an older sequence": BadRequest(
        409, _STALE | {"epoch": 1}, report(1, 1), before=(report(1, 2),)
    ),
    "replayed: an older epoch": BadRequest(
        409, _STALE | {"epoch": 2}, report(1, 9), before=(report(2, 1),)
    ),
    "unauthenticated: no header": stranger(_NO_TOKEN, ""),
    "unauthenticated: no token": stranger(_NO_TOKEN, "Bearer"),
    "unauthenticated: a blank token": stranger(_NO_TOKEN, "Bearer  "),
    "unauthenticated: another scheme": stranger(_NO_TOKEN, "Basic Z29vZA=="),
    "unauthenticated: a wrong token": stranger(_BAD_TOKEN, "Bearer bad"),
    "unauthenticated: a token that is no ASCII": stranger(_BAD_TOKEN, "Bearer gööd"),
    "not to be told: no API server": BadRequest(
        503,
        {"reason": "Unavailable", "message": "tokens cannot be checked at the moment"},
        sender=None,
        failure=Unavailable("Timeout", "t"),
        retry_after="1",
    ),
    "not to be told: a busy API server": BadRequest(
        503,
        {"reason": "Unavailable", "message": "tokens cannot be checked at the moment"},
        sender=None,
        failure=Unavailable("Http503", "busy", 7.2),
        retry_after="8",
    ),
    "not JSON": BadRequest(
        415,
        {"reason": "UnsupportedMediaType", "message": "send application/json"},
        headers={"Content-Type": "application/xml"},
        sender=None,
    ),
}


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in BAD.items()])
async def test_a_bad_report_is_refused_clearly_counted_and_changes_nothing(
    http: TestClient, aggregator: Aggregator, bad: BadRequest
) -> None:
    for earlier in bad.before:
        assert (await post(http, earlier)).status == 200
    before = (list(aggregator.accepted), list(aggregator.reports), aggregator.ledger.get("uid-0"))
    with capture_logs():
        aggregator.batch.write_line()
    aggregator.counted.clear()
    aggregator.failure = bad.failure
    answer = await post(http, bad.body, **bad.headers)
    rejection = await answer.json()
    if bad.answer == _NOT_JSON:
        rejection["message"], _, _ = rejection["message"].partition(":")
    assert (answer.status, rejection) == (bad.status, bad.answer)
    assert answer.headers.get("Retry-After") == bad.retry_after
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if bad.status == 401 else None)
    assert aggregator.counted == {bad.answer["reason"]: 1}
    with capture_logs() as lines:
        aggregator.batch.write_line()
    told = {name: lines[0].get(name) for name in ("outcomes", "key", "reason", "message", "field")}
    assert told == {
        "outcomes": {bad.answer["reason"]: 1},
        "key": bad.sender,
        "reason": bad.answer["reason"],
        "message": shorten((await answer.json())["message"]),
        "field": bad.answer.get("field"),
    }
    after = (aggregator.accepted, aggregator.reports, aggregator.ledger.get("uid-0"))
    assert after == before
