"""Whatever comes over the wire, the report port answers properly: never with a 500, never with a
report taken that is not one. Bounded: a few hundred examples, a few seconds."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import RawTestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.intake.auth import PodIdentity
from aggregator.intake.routes import IntakePorts, ReportIntake
from aggregator.ledger import Ledger
from aggregator.reviews import Unauthenticated

pytestmark = [pytest.mark.component, pytest.mark.timeout(60)]

POD = PodIdentity("games", "minecraft-0", "uid-0", "default")
FUZZ = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# An answer always comes: a sender that stalls is cut off, and these never stall.
_ANSWER_SECONDS = 20.0


class Intake:
    """A report port, and what it took."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.ledger = Ledger(0, 10)
        self._seconds = 0.0

    async def _authenticate(self, token: str) -> PodIdentity:
        if token != "good":
            raise Unauthenticated("the token is not valid")
        return POD

    def _monotonic(self) -> float:
        # Each look is a second later, so that no rate is exceeded.
        self._seconds += 1
        return self._seconds

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        ports = IntakePorts(
            authenticate=self._authenticate,
            ledger=self.ledger,
            probes_for=lambda _identity: ("r1", ()),
            on_accepted=lambda _key, _changed: None,
            heartbeat_seconds=10,
            monotonic=self._monotonic,
            count=lambda outcome: self.counted.update([outcome]),
        )
        async with RawTestServer(ReportIntake(ports).handle) as server:
            assert server.port is not None
            yield server.port


async def send(port: int, raw: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes, with `hang_up` say that this was all, and return everything that is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            writer.write(raw)
            if hang_up:
                writer.write_eof()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def request(body: bytes, **headers: str) -> bytes:
    fields = {
        "Host": "x",
        "Authorization": "Bearer good",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /v1/reports HTTP/1.1\r\n{lines}\r\n".encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


VALID: dict[str, Any] = {
    "podUid": "uid-0",
    "epoch": 1,
    "sequence": 1,
    "sentAt": "2026-06-01T12:00:00Z",
    "agentVersion": "0.1.0",
    "probesRevision": "r1",
    "containers": [{"name": "game", "running": True, "startedAt": None}],
    "probes": [{"name": "idle", "status": "True", "result": "x", "runs": 3, "exitCode": 0}],
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["True", "2026-06-01T12:00:00Z", "9999-12-31T23:59:59-23:59", "uid-0"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
PATHS = st.sampled_from(
    [
        *((name,) for name in VALID),
        ("containers", 0),
        *(("containers", 0, name) for name in ("name", "running", "startedAt")),
        ("probes", 0),
        *(
            ("probes", 0, name)
            for name in (
                *("name", "status", "result", "reason", "message", "exitCode", "stderr"),
                *("startedAt", "durationSeconds", "transitionAt", "runs", "consecutive", "other"),
            )
        ),
    ]
)
TAKEN = {200}
# What a body can lead to: taken, malformed, of another pod, or older than what was taken.
PROPER = TAKEN | {400, 403, 409}


def spoiled(path: tuple[Any, ...], value: Any) -> bytes:
    """Return the valid report with one field replaced."""
    body = json.loads(json.dumps(VALID))
    place = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(body).encode()


async def test_a_report_with_any_field_replaced_by_anything_is_answered_properly() -> None:
    intake = Intake()
    async with intake.serving() as port:
        loop = asyncio.get_running_loop()

        @FUZZ
        @given(PATHS, JSON)
        def fuzz(path: tuple[Any, ...], value: Any) -> None:
            sent = send(port, request(spoiled(path, value)))
            answer = asyncio.run_coroutine_threadsafe(sent, loop).result()
            assert status_of(answer) in PROPER, answer
            rejection = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert status_of(answer) in TAKEN or rejection["message"]

        await asyncio.to_thread(fuzz)
    assert sum(intake.counted.values()) >= 200
    assert len(intake.ledger) <= 1


async def test_any_bytes_as_a_body_are_malformed_and_change_nothing() -> None:
    intake = Intake()
    async with intake.serving() as port:
        loop = asyncio.get_running_loop()

        @FUZZ
        @given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
        def fuzz(body: bytes) -> None:
            answer = asyncio.run_coroutine_threadsafe(send(port, request(body)), loop).result()
            assert status_of(answer) == 400, answer

        await asyncio.to_thread(fuzz)
    assert set(intake.counted) == {"Invalid"}
    assert len(intake.ledger) == 0


HEADER_VALUES = st.text(
    st.characters(min_codepoint=32, max_codepoint=126), max_size=40
) | st.sampled_from(
    ["Bearer good", "Bearer bad", "application/json", "gzip", "chunked", "-1", "1e3"]
)


async def test_any_header_leads_to_a_proper_answer() -> None:
    intake = Intake()
    async with intake.serving() as port:
        loop = asyncio.get_running_loop()
        framing = ("Content_Length", "Transfer_Encoding", "Expect")
        names = ("Authorization", "Content_Type", "Content_Encoding", "Host", *framing)
        body = json.dumps(VALID).encode()

        @FUZZ
        @given(st.sampled_from(names), HEADER_VALUES)
        def fuzz(name: str, value: str) -> None:
            # Who promises more than comes is waited for, until the connection ends.
            sent = send(port, request(body, **{name: value}), hang_up=name in framing)
            answer = asyncio.run_coroutine_threadsafe(sent, loop).result()
            if answer or name not in framing:
                assert status_of(answer) < 500, answer

        await asyncio.to_thread(fuzz)


async def test_bytes_that_are_no_http_harm_nobody() -> None:
    intake = Intake()
    async with intake.serving() as port:
        loop = asyncio.get_running_loop()
        whole = request(json.dumps(VALID).encode())

        @FUZZ
        @given(st.data())
        def fuzz(data: st.DataObject) -> None:
            cut = data.draw(st.integers(0, len(whole) - 1))
            junk = data.draw(st.binary(max_size=8))
            raw = whole[:cut] + junk + whole[cut + data.draw(st.integers(0, 4)) :]
            sent = send(port, raw, hang_up=True)
            answer = asyncio.run_coroutine_threadsafe(sent, loop).result()
            assert not answer.startswith(b"HTTP/1.1 5"), answer

        await asyncio.to_thread(fuzz)
        assert status_of(await send(port, whole)) in PROPER
