"""A report over real HTTP: what is taken, what of it is news, and who is told to come again."""

import pytest
from aiohttp.test_utils import RawTestServer, TestClient

from aggregator.intake.auth import PodIdentity
from aggregator.intake.routes import ReportIntake
from aggregator.kube.resources import ObjectKey
from shared.protocol.report import parse_answer
from tests.support.intake_world import POD, PROBES, Aggregator, post, report

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


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


async def test_a_pod_that_is_not_known_yet_comes_again(
    http: TestClient, aggregator: Aggregator
) -> None:
    aggregator.known = False
    answer = await post(http, report())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert len(aggregator.ledger) == 0
    aggregator.known = True
    assert (await post(http, report())).status == 200


async def test_a_pod_that_reports_without_end_is_slowed_down(
    http: TestClient, aggregator: Aggregator
) -> None:
    statuses = [(await post(http, report(1, number))).status for number in range(1, 42)]
    assert statuses == [200] * 40 + [429]
    answer = await post(http, report(1, 99))
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    aggregator.seconds = 1.0
    assert (await post(http, report(1, 99))).status == 200


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


async def test_what_is_taken_is_counted_too_and_told_to_the_history(
    http: TestClient, aggregator: Aggregator
) -> None:
    for sequence in (1, 1, 2):
        await post(http, report(1, sequence))
    assert aggregator.counted == {"Accepted": 2, "Duplicate": 1}
    assert [each.sequence for each in aggregator.reports] == [1, 2]
