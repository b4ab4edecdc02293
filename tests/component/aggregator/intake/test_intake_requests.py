"""How a report may be sent: paths, types, sizes, encodings."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient

from tests.support.intake_world import Aggregator, post, report

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]


@pytest.mark.parametrize("sent_at", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
async def test_a_time_outside_of_the_calendar_is_dropped(http: TestClient, sent_at: str) -> None:
    assert (await post(http, report(sentAt=sent_at))).status == 200


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
