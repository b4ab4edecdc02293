"""An aggregator as far as the status API sees it, and who may ask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.caches import Caches
from aggregator.kube.resources import SUBJECTACCESSREVIEWS, TOKENREVIEWS, ObjectKey, Resource
from aggregator.ledger import Accepted, Ledger
from aggregator.status.history import RunHistory, ServerHistory
from aggregator.status.views import StatusViews
from tests.support.builders import NOW, game_server, pod, report
from tests.support.kube import FakeKubeClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.test_utils import TestClient

    from aggregator.kube.transport import Json
    from aggregator.status.access import StatusAccess


@dataclass
class World:
    """An aggregator as far as the status API sees it."""

    caches: Caches = field(default_factory=lambda: Caches(Ledger(0, 10)))
    runs: RunHistory = field(default_factory=RunHistory)
    history: ServerHistory = field(default_factory=ServerHistory)
    access: StatusAccess | None = None
    leading: bool = True
    seconds: float = 5.0

    def add_server(self, id_: int, **server: Any) -> None:
        key = ObjectKey("games", f"minecraft-{id_}")
        self.caches.pods.put(key, pod(id_))
        self.caches.servers.put(key, game_server(id_, **server))

    def accept(self, id_: int, *probes: Any) -> None:
        told = report(*probes, pod_uid=f"pod-{id_}")
        self.caches.ledger.accept(Accepted(told, NOW, changed=True), self.seconds)
        self.runs.record(told)

    def views(self, monotonic: Callable[[], float] | None = None) -> StatusViews:
        return StatusViews(
            self.caches,
            self.runs,
            self.history,
            wanted_revision=lambda _owner: "r2",
            monotonic=monotonic or (lambda: self.seconds),
            now=lambda: NOW,
        )


class Reviewer(FakeKubeClient):
    """Knows the token of alice, who may get the servers of the namespace games."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Json] = []
        self.failure: Exception | None = None

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        if self.failure is not None:
            raise self.failure
        self.asked.append(body["spec"])
        if resource == TOKENREVIEWS:
            user = {
                "username": "alice",
                "uid": "7",
                "groups": ["players"],
                "extra": {"example.com/team": ["red"]},
            }
            good = body["spec"]["token"] == "good"
            return {"status": {"authenticated": good, "user": user if good else {}}}
        assert resource == SUBJECTACCESSREVIEWS
        attributes = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": attributes.get("namespace") == "games"}}


async def get(http: TestClient, path: str, **headers: str) -> tuple[int, Any]:
    answer = await http.get(path, headers=headers)
    assert answer.content_type == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, await answer.json()
