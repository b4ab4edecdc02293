"""The report endpoint over real HTTP: whatever is sent, the answer is right and never a 500."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import RawTestServer, TestClient

from aggregator.intake.auth import NotAPod, PodIdentity
from aggregator.intake.routes import IntakePorts, ReportIntake
from aggregator.kube.errors import Unavailable
from aggregator.kube.resources import ObjectKey
from aggregator.ledger import Ledger
from aggregator.reviews import Unauthenticated
from shared.protocol.probes import ExecAction, ProbeSpec
from shared.protocol.report import Report, parse_answer

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]

POD = PodIdentity("games", "minecraft-0", "uid-0", "default")
PROBES = (ProbeSpec("idle", "game", exec=ExecAction(("./probe.sh",))),)


@dataclass
class Aggregator:
    """The rest of the aggregator, as far as the intake sees it."""

    ledger: Ledger = field(default_factory=lambda: Ledger(0, 10))
    known: bool = True
    seconds: float = 0.0
    accepted: list[tuple[ObjectKey, bool]] = field(default_factory=list)
    failure: Exception | None = None
    leading: bool = True
    counted: Counter[str] = field(default_factory=Counter)
    reports: list[Report] = field(default_factory=list)

    async def authenticate(self, token: str) -> PodIdentity:
        if self.failure is not None:
            raise self.failure
        if token != "good":
            raise Unauthenticated("the token is not valid")
        return POD

    def ports(self) -> IntakePorts:
        return IntakePorts(
            authenticate=self.authenticate,
            ledger=self.ledger,
            probes_for=lambda identity: ("r2", PROBES) if self.known else None,
            on_accepted=lambda key, changed: self.accepted.append((key, changed)),
            heartbeat_seconds=10,
            monotonic=lambda: self.seconds,
            leading=lambda: self.leading,
            on_report=self.reports.append,
            count=lambda outcome: self.counted.update([outcome]),
        )

    def took_nothing(self) -> bool:
        """Whether nothing that was sent had any effect."""
        return (self.accepted, self.reports, len(self.ledger)) == ([], [], 0)


@pytest.fixture
def aggregator() -> Aggregator:
    return Aggregator()


@pytest.fixture
async def http(aggregator: Aggregator) -> AsyncIterator[TestClient]:
    async with TestClient(RawTestServer(ReportIntake(aggregator.ports()).handle)) as client:
        yield client


def report(epoch: int = 1, sequence: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "podUid": "uid-0",
        "epoch": epoch,
        "sequence": sequence,
        "sentAt": "2026-06-01T12:00:00Z",
        "agentVersion": "0.1.0",
        "probesRevision": "r2",
        "probes": [{"name": "idle", "status": "True", "result": "empty"}],
    } | fields


async def post(http: TestClient, body: Any, **headers: str) -> ClientResponse:
    defaults = {"Authorization": "Bearer good", "Content-Type": "application/json"}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await http.post("/v1/reports", data=data, headers=defaults | headers)


async def test_a_report_reaches_the_ledger_and_the_queue(
    http: TestClient, aggregator: Aggregator
) -> None:
    answer = await post(http, report())
    assert (answer.status, await answer.json()) == (
        200,
        {"probesRevision": "r2", "heartbeatSeconds": 10},
    )
    accepted = aggregator.ledger.get("uid-0")
    assert accepted is not None
    assert accepted.report.probes[0].result == "empty"
    assert aggregator.accepted == [(ObjectKey("games", "minecraft-0"), True)]


async def test_an_agent_with_an_old_list_gets_the_new_one_in_the_form_it_reads(
    http: TestClient,
) -> None:
    answer = parse_answer(await (await post(http, report(probesRevision=""))).json())
    assert (answer.probes_revision, answer.probes) == ("r2", PROBES)


async def test_only_a_change_is_said_to_be_one(http: TestClient, aggregator: Aggregator) -> None:
    await post(http, report(1, 1))
    await post(http, report(1, 2))
    await post(http, report(1, 3, probes=[]))
    assert [changed for _, changed in aggregator.accepted] == [True, False, True]


@pytest.mark.parametrize("sequence", [pytest.param(1, id="repetition"), pytest.param(2, id="next")])
async def test_a_lost_agent_that_returns_is_looked_at_though_nothing_changed(
    http: TestClient, aggregator: Aggregator, sequence: int
) -> None:
    await post(http, report(1, 1))
    aggregator.seconds = 31
    await post(http, report(1, sequence))
    assert [changed for _, changed in aggregator.accepted] == [True, True]


async def test_a_repetition_is_answered_again_and_an_older_report_is_told_the_epoch(
    http: TestClient, aggregator: Aggregator
) -> None:
    statuses = [
        (await post(http, report(*pair))).status for pair in [(1, 7), (1, 7), (2, 1), (2, 1)]
    ]
    stale = await post(http, report(1, 8))
    assert (statuses, stale.status, await stale.json()) == (
        [200] * 4,
        409,
        {"reason": "Stale", "message": "a newer report was accepted", "epoch": 2},
    )
    assert len(aggregator.accepted) == 2


@pytest.mark.parametrize(
    ("body", "field_path"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(b"\x00\xff", None, id="binary"),
        pytest.param(b"{}", "podUid", id="nothing in it"),
        pytest.param(report(sequence=0), "sequence", id="a rule of admission"),
        pytest.param(report(probes=[{"name": "a", "status": 1}]), "probes[0].status", id="a type"),
        pytest.param(
            report(probes=[{"name": "a", "status": "True", "runs": -1}]),
            "probes[0].runs",
            id="a bound",
        ),
        pytest.param(report(hack=1), "hack", id="an unknown field"),
    ],
)
async def test_a_malformed_report_is_answered_with_its_field(
    http: TestClient, aggregator: Aggregator, body: Any, field_path: str | None
) -> None:
    answer = await post(http, body)
    rejection = await answer.json()
    assert (answer.status, rejection["reason"], rejection.get("field")) == (
        400,
        "Invalid",
        field_path,
    )
    assert aggregator.accepted == []


@pytest.mark.parametrize("sent_at", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
async def test_a_time_outside_of_the_calendar_is_dropped(http: TestClient, sent_at: str) -> None:
    assert (await post(http, report(sentAt=sent_at))).status == 200


async def test_the_body_cannot_claim_another_pod(http: TestClient, aggregator: Aggregator) -> None:
    answer = await post(http, report(podUid="uid-1"))
    rejection = await answer.json()
    assert (answer.status, rejection["reason"], rejection["field"]) == (403, "ForeignPod", "podUid")
    assert (aggregator.accepted, len(aggregator.ledger)) == ([], 0)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="none"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer  ", id="blank token"),
        pytest.param("Basic Z29vZA==", id="another scheme"),
        pytest.param("Bearer bad", id="a wrong token"),
        pytest.param("Bearer gööd", id="a token that is no ASCII"),
    ],
)
async def test_without_a_valid_token_nothing_is_read(
    http: TestClient, aggregator: Aggregator, authorization: str
) -> None:
    answer = await post(http, report(), Authorization=authorization)
    assert (answer.status, (await answer.json())["reason"]) == (401, "Unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert aggregator.accepted == []


@pytest.mark.parametrize(
    ("failure", "status", "reason", "retry_after"),
    [
        pytest.param(NotAPod("alice"), 403, "NotAPod", None, id="a token of no pod"),
        pytest.param(Unavailable("Timeout", "t"), 503, "Unavailable", "1", id="no API server"),
        pytest.param(
            Unavailable("Http503", "busy", 7.2), 503, "Unavailable", "8", id="a busy API server"
        ),
    ],
)
async def test_who_cannot_be_identified_is_told_what_to_do(
    http: TestClient, aggregator: Aggregator, failure, status, reason, retry_after
) -> None:
    aggregator.failure = failure
    answer = await post(http, report())
    assert (answer.status, (await answer.json())["reason"]) == (status, reason)
    assert answer.headers.get("Retry-After") == retry_after


async def test_a_pod_that_is_not_known_yet_comes_again(
    http: TestClient, aggregator: Aggregator
) -> None:
    aggregator.known = False
    answer = await post(http, report())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert len(aggregator.ledger) == 0
    aggregator.known = True
    assert (await post(http, report())).status == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
async def test_only_json_is_read(http: TestClient, content_type: str) -> None:
    answer = await post(http, report(), **{"Content-Type": content_type})
    assert answer.status == 415


async def test_a_charset_in_the_content_type_is_fine(http: TestClient) -> None:
    answer = await post(http, report(), **{"Content-Type": "application/json; charset=utf-8"})
    assert answer.status == 200


async def test_a_report_of_exactly_64_kib_is_read_and_a_byte_more_is_not(http: TestClient) -> None:
    body = json.dumps(report()).encode()
    full = body + b" " * (64 * 1024 - len(body))
    assert [(await post(http, full)).status, (await post(http, full + b" ")).status] == [200, 413]


async def test_a_large_body_without_a_length_is_not_read_to_its_end(http: TestClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 8192

    headers = {"Authorization": "Bearer good", "Content-Type": "application/json"}
    answer = await http.post("/v1/reports", data=endless(), headers=headers)
    assert answer.status == 413


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused(http: TestClient) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 64 * 1024
    answer = await post(http, bomb, **{"Content-Encoding": "gzip"})
    assert answer.status == 413


async def test_a_body_that_only_says_that_it_is_packed_is_malformed(http: TestClient) -> None:
    answer = await post(http, report(), **{"Content-Encoding": "gzip"})
    assert answer.status == 400


async def test_a_pod_that_reports_without_end_is_slowed_down(
    http: TestClient, aggregator: Aggregator
) -> None:
    statuses = [(await post(http, report(1, number))).status for number in range(1, 42)]
    assert statuses == [200] * 40 + [429]
    answer = await post(http, report(1, 99))
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    aggregator.seconds = 1.0
    assert (await post(http, report(1, 99))).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/reports", 405), ("POST", "/v2/reports", 404)]
)
async def test_nothing_else_is_served(
    http: TestClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert (answer.status, answer.headers.get("Allow")) == (
        status,
        "POST" if status == 405 else None,
    )


async def test_the_path_counts_however_it_is_written(http: TestClient) -> None:
    headers = {"Authorization": "Bearer good"}
    answer = await http.post("/v1/reports?from=curl", json=report(), headers=headers)
    assert answer.status == 200


async def test_a_sender_that_asks_first_is_told_to_go_on(
    http: TestClient, aggregator: Aggregator
) -> None:
    headers = {"Authorization": "Bearer good"}
    answer = await http.post("/v1/reports", json=report(), headers=headers, expect100=True)
    assert (answer.status, len(aggregator.accepted)) == (200, 1)


async def test_an_agent_that_hangs_up_in_the_middle_harms_nobody(
    http: TestClient, aggregator: Aggregator
) -> None:
    _reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(
        b"POST /v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await post(http, report())).status == 200
    assert len(aggregator.accepted) == 1


async def test_a_standby_takes_nothing_says_when_to_come_again_and_hangs_up(
    http: TestClient, aggregator: Aggregator
) -> None:
    aggregator.leading = False
    answer = await post(http, report(), Authorization="Bearer bad")
    assert (answer.status, await answer.json()) == (
        503,
        {"reason": "NotLeading", "message": "another aggregator leads; connect again"},
    )
    assert (answer.headers["Retry-After"], answer.headers["Connection"]) == ("1", "close")
    assert (aggregator.took_nothing(), aggregator.counted) == (True, {"NotLeading": 1})


async def test_a_leader_that_loses_its_lease_during_a_review_takes_the_report_no_more(
    http: TestClient, aggregator: Aggregator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(self: Aggregator, token: str) -> PodIdentity:
        self.leading = False
        return POD

    monkeypatch.setattr(Aggregator, "authenticate", lose)
    aggregator = Aggregator()
    async with TestClient(RawTestServer(ReportIntake(aggregator.ports()).handle)) as client:
        answer = await post(client, report())
        assert (answer.status, (await answer.json())["reason"]) == (503, "NotLeading")
    assert aggregator.took_nothing()


@dataclass(frozen=True)
class BadRequest:
    """A request that must be refused, and how."""

    status: int
    reason: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    before: tuple[Any, ...] = ()


BAD = {
    "malformed: no JSON": BadRequest(400, "Invalid", b"{"),
    "malformed: a list": BadRequest(400, "Invalid", b"[]"),
    "malformed: a number with a thousand digits": BadRequest(
        400, "Invalid", b'{"podUid": "uid-0", "epoch": ' + b"9" * 1000 + b"}"
    ),
    "malformed: brackets without end": BadRequest(400, "Invalid", b"[" * 60_000),
    "malformed: half a surrogate": BadRequest(
        400, "Invalid", json.dumps(report(agentVersion="\ud800")).encode()
    ),
    "malformed: a probe without a name": BadRequest(
        400, "Invalid", report(probes=[{"status": "True"}])
    ),
    "oversized: more than 64 KiB": BadRequest(
        413, "RequestEntityTooLarge", report(agentVersion="v" * 65_536)
    ),
    "oversized: more than 64 probes": BadRequest(
        400, "Invalid", report(probes=[{"name": f"p{n}", "status": "True"} for n in range(65)])
    ),
    "foreign: another pod": BadRequest(403, "ForeignPod", report(podUid="uid-1")),
    "replayed: an older sequence": BadRequest(409, "Stale", report(1, 1), before=(report(1, 2),)),
    "replayed: an older epoch": BadRequest(409, "Stale", report(1, 9), before=(report(2, 1),)),
    "unauthenticated: no header": BadRequest(
        401, "Unauthenticated", report(), {"Authorization": ""}
    ),
    "unauthenticated: a wrong token": BadRequest(
        401, "Unauthenticated", report(), {"Authorization": "Bearer bad"}
    ),
    "not JSON": BadRequest(
        415, "UnsupportedMediaType", report(), {"Content-Type": "application/xml"}
    ),
}


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in BAD.items()])
async def test_a_bad_report_is_refused_clearly_counted_and_changes_nothing(
    http: TestClient, aggregator: Aggregator, bad: BadRequest
) -> None:
    for earlier in bad.before:
        assert (await post(http, earlier)).status == 200
    before = (list(aggregator.accepted), list(aggregator.reports), aggregator.ledger.get("uid-0"))
    aggregator.counted.clear()
    answer = await post(http, bad.body, **bad.headers)
    rejection = await answer.json()
    assert (answer.status, rejection["reason"]) == (bad.status, bad.reason)
    assert rejection["message"]
    assert aggregator.counted == {bad.reason: 1}
    after = (aggregator.accepted, aggregator.reports, aggregator.ledger.get("uid-0"))
    assert after == before


async def test_what_is_taken_is_counted_too_and_told_to_the_history(
    http: TestClient, aggregator: Aggregator
) -> None:
    for sequence in (1, 1, 2):
        await post(http, report(1, sequence))
    assert aggregator.counted == {"Accepted": 2, "Duplicate": 1}
    assert [each.sequence for each in aggregator.reports] == [1, 2]
