"""Tokens are reviewed once, remembered for a while, and never mistaken for wrong."""

import asyncio
import base64
import json
from typing import Any

import pytest

from aggregator.intake.auth import NotAPod, PodIdentity, TokenAuthenticator
from aggregator.kube.errors import Rejected, Unavailable
from aggregator.kube.resources import TOKENREVIEWS, Resource
from aggregator.kube.transport import Json
from aggregator.reviews import Unauthenticated, expiry_of
from shared.errors import TransientError
from tests.support.kube import FakeKubeClient

pytestmark = pytest.mark.looptime

POD = PodIdentity("games", "minecraft-0", "uid-0", "default")
GOOD: dict[str, Any] = {
    "authenticated": True,
    "audiences": ["gamekeeper"],
    "user": {
        "username": "system:serviceaccount:games:default",
        "extra": {
            "authentication.kubernetes.io/pod-name": ["minecraft-0"],
            "authentication.kubernetes.io/pod-uid": ["uid-0"],
        },
    },
}


class Reviewer(FakeKubeClient):
    """Answers TokenReviews, each after a second."""

    def __init__(self) -> None:
        super().__init__()
        self.status: dict[str, Any] = GOOD
        self.reviewed: list[str] = []
        self.busy = 0
        self.most_busy = 0

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        assert (resource, namespace) == (TOKENREVIEWS, "")
        assert body["spec"]["audiences"] == ["gamekeeper"]
        self.reviewed.append(body["spec"]["token"])
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await asyncio.sleep(1)
        finally:
            self.busy -= 1
        if self.failures["create"]:
            raise self.failures["create"].popleft()
        return {"status": self.status}


@pytest.fixture
def reviewer() -> Reviewer:
    return Reviewer()


@pytest.fixture
def authenticate(reviewer: Reviewer) -> TokenAuthenticator:
    def now() -> float:
        return asyncio.get_running_loop().time()

    return TokenAuthenticator(reviewer, monotonic=now, wall_seconds=now)


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"header.{payload}.signature"


async def reviews_until(
    reviewer: Reviewer, authenticate: TokenAuthenticator, token: str, ages: list[float]
) -> list[int]:
    """Return how many reviews there have been after asking at each age of the first answer."""
    counts = []
    await authenticate(token)
    begin = asyncio.get_running_loop().time()
    for age in ages:
        await asyncio.sleep(begin + age - asyncio.get_running_loop().time())
        await authenticate(token)
        counts.append(len(reviewer.reviewed))
    return counts


@pytest.mark.parametrize(
    ("seconds_left", "ages", "expected"),
    [
        pytest.param(None, [59, 60, 61.5], [1, 2, 2], id="no end: once a minute"),
        pytest.param(2000, [1, 1938, 1939, 1997], [1, 1, 2, 2], id="until a minute before its end"),
        pytest.param(9000, [3599, 3600, 3700], [1, 2, 2], id="never longer than an hour"),
        pytest.param(31, [29, 30], [1, 2], id="short of life: until its end"),
    ],
)
async def test_a_good_token_is_reviewed_again_near_its_end_only(
    reviewer: Reviewer,
    authenticate: TokenAuthenticator,
    seconds_left: float | None,
    ages: list[float],
    expected: list[int],
) -> None:
    now = asyncio.get_running_loop().time()
    token = "opaque" if seconds_left is None else jwt(exp=now + seconds_left)
    assert await reviews_until(reviewer, authenticate, token, ages) == expected


async def test_a_flood_of_made_up_tokens_pushes_no_agent_out_of_memory(reviewer: Reviewer) -> None:
    authenticate = TokenAuthenticator(reviewer, monotonic=lambda: 0.0, capacity=2)
    await authenticate("good")
    reviewer.status = {"authenticated": False}
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await authenticate(f"made-up-{number}")
    assert await authenticate("good") == POD
    assert reviewer.reviewed.count("good") == 1


async def test_a_token_is_never_taken_past_its_end(
    reviewer: Reviewer, authenticate: TokenAuthenticator
) -> None:
    token = jwt(exp=asyncio.get_running_loop().time() + 121)
    await authenticate(token)
    away = Unavailable("ConnectionFailed", "refused")
    reviewer.failures["create"].extend([away] * 2)
    await asyncio.sleep(118)
    # The API server is away in the last minute: the token is still good,
    assert await authenticate(token) == POD
    await asyncio.sleep(1)
    # and not a second longer.
    with pytest.raises(Unavailable):
        await authenticate(token)
    reviewer.status = {"authenticated": False}
    with pytest.raises(Unauthenticated):
        await authenticate(token)


async def test_each_review_is_counted_by_its_outcome(reviewer: Reviewer) -> None:
    counted: list[str] = []
    authenticate = TokenAuthenticator(reviewer, on_review=counted.append)
    await authenticate("a")
    await authenticate("a")
    reviewer.failures["create"].append(Unavailable("ConnectionFailed", "refused"))
    with pytest.raises(TransientError):
        await authenticate("b")
    reviewer.status = {"authenticated": False}
    with pytest.raises(Unauthenticated):
        await authenticate("b")
    reviewer.status = GOOD | {"user": {"username": "alice"}}
    with pytest.raises(NotAPod):
        await authenticate("c")
    assert counted == ["pod", "failed", "unauthenticated", "not a pod"]


async def test_a_refusal_from_memory_holds_on_to_no_frames(
    reviewer: Reviewer, authenticate: TokenAuthenticator
) -> None:
    reviewer.status = {"authenticated": False}
    errors = []
    for _ in range(3):
        with pytest.raises(Unauthenticated) as caught:
            await authenticate("t")
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3


async def test_a_bad_token_is_remembered_for_five_seconds_only(
    reviewer: Reviewer, authenticate: TokenAuthenticator
) -> None:
    reviewer.status = {"authenticated": False, "error": "not yet valid"}
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await authenticate("t")
    assert reviewer.reviewed == ["t"]
    await asyncio.sleep(5)
    reviewer.status = GOOD
    assert await authenticate("t") == POD


@pytest.mark.parametrize(
    ("status", "error"),
    [
        pytest.param({}, Unauthenticated, id="an empty answer"),
        pytest.param(GOOD | {"authenticated": False}, Unauthenticated, id="not authenticated"),
        pytest.param(GOOD | {"audiences": ["api"]}, Unauthenticated, id="for somebody else"),
        pytest.param(GOOD | {"audiences": None}, Unauthenticated, id="a server without audiences"),
        pytest.param(GOOD | {"user": {"username": "alice"}}, NotAPod, id="a person"),
        pytest.param(
            GOOD | {"user": GOOD["user"] | {"username": "alice"}}, NotAPod, id="a person with a pod"
        ),
        pytest.param(
            GOOD | {"user": {"username": "system:serviceaccount:games:default"}},
            NotAPod,
            id="a token that is bound to no pod",
        ),
        pytest.param(
            GOOD | {"user": GOOD["user"] | {"username": "system:serviceaccount:games"}},
            NotAPod,
            id="half a service account",
        ),
    ],
)
async def test_only_a_pod_with_our_audience_may_report(
    reviewer: Reviewer, authenticate: TokenAuthenticator, status, error
) -> None:
    reviewer.status = status
    with pytest.raises(error):
        await authenticate("t")


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(Unavailable("ConnectionFailed", "refused"), id="away"),
        pytest.param(Rejected("Forbidden", "may not review tokens", 403), id="no right to ask"),
    ],
)
async def test_trouble_with_the_api_server_says_nothing_about_the_token(
    reviewer: Reviewer, authenticate: TokenAuthenticator, failure: Exception
) -> None:
    reviewer.failures["create"].append(failure)
    with pytest.raises(TransientError):
        await authenticate("t")
    assert await authenticate("t") == POD


async def test_all_who_ask_at_once_share_one_review(
    reviewer: Reviewer, authenticate: TokenAuthenticator
) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(authenticate("t")) for _ in range(10)]
    assert ([task.result() for task in tasks], reviewer.reviewed) == ([POD] * 10, ["t"])


async def test_if_the_first_one_hangs_up_the_next_one_reviews(
    reviewer: Reviewer, authenticate: TokenAuthenticator
) -> None:
    async with asyncio.TaskGroup() as group:
        first = group.create_task(authenticate("t"))
        await asyncio.sleep(0.5)
        second = group.create_task(authenticate("t"))
        await asyncio.sleep(0)
        first.cancel()
    assert (second.result(), reviewer.reviewed) == (POD, ["t", "t"])


async def test_a_fleet_that_comes_at_once_is_reviewed_a_few_at_a_time(
    reviewer: Reviewer, authenticate: TokenAuthenticator
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(authenticate(f"t{number}"))
    assert (len(reviewer.reviewed), reviewer.most_busy) == (100, 32)


async def test_the_memory_of_tokens_is_bounded(reviewer: Reviewer) -> None:
    authenticate = TokenAuthenticator(reviewer, capacity=2)
    for token in ("a", "b", "a", "c", "a", "b"):
        await authenticate(token)
    assert reviewer.reviewed == ["a", "b", "c", "b"]


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(jwt(exp=1780000000), 1780000000.0, id="a JWT"),
        pytest.param(jwt(sub="x"), None, id="a JWT without an end"),
        pytest.param(jwt(exp=True), None, id="true is no time"),
        pytest.param("opaque", None, id="an opaque token"),
        pytest.param("a.b.c", None, id="three parts that are no JWT"),
        pytest.param("a.WzFd.c", None, id="a list of claims"),
        pytest.param("a.é.c", None, id="not ASCII"),
        pytest.param(
            f"a.{base64.urlsafe_b64encode(b'[' * 50_000).decode().rstrip('=')}.c",
            None,
            id="brackets without end",
        ),
    ],
)
def test_the_end_of_a_token_is_read_from_its_claims(token: str, expected: float | None) -> None:
    assert expiry_of(token) == expected
