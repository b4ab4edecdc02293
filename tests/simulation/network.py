"""Requests on their way: sent by an aggregator, done by the server, answered, each when a schedule
says so.

Nothing happens by itself. A request lies on the wire until the schedule lets it arrive, fail, or
get lost; its answer lies there until the schedule delivers it. So two aggregators, people, kubelets
and watches come between any two steps of one reconciliation.
"""

from __future__ import annotations

import asyncio
import json
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aggregator.kube.errors import FailedRequest, error_from
from aggregator.kube.patch import MergePatch, Patch
from aggregator.kube.transport import PAGE_SIZE, Json, KubeClient, RawList, Selection
from localcluster.apiserver.deletion import DeleteOptions
from localcluster.apiserver.errors import ApiError, not_found
from localcluster.apiserver.objects import encode, fresh
from localcluster.apiserver.write_rules import WriteOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from aggregator.kube.resources import ObjectKey, Resource
    from localcluster.apiserver.objects import Object
    from tests.simulation.process import Run
    from tests.simulation.server import Server

RUN: ContextVar[Run] = ContextVar("run")
"""The reconciliation that a request belongs to."""


@dataclass(eq=False)
class Request:
    """One request of a reconciliation.

    Attributes:
        body: what is to be created; a merge patch or the operations of a JSON patch.
        before: the object that it strikes, just before its effect.
        after: and just after; None when it is gone.
        error: what it is answered with instead of a result.
    """

    run: Run
    verb: str
    resource: Resource
    name: str
    effect: Callable[[], Any]
    body: Any = None
    subresource: str = ""
    answer: asyncio.Future[Any] = field(default_factory=asyncio.Future)
    result: Any = None
    error: Exception | None = None
    before: Object | None = None
    after: Object | None = None

    @property
    def is_write(self) -> bool:
        return self.verb in ("create", "patch", "delete")

    @property
    def happened(self) -> bool:
        """Whether it changed anything."""
        return self.is_write and self.before is not self.after

    def __str__(self) -> str:
        part = f"/{self.subresource}" if self.subresource else ""
        body = "" if self.body is None else f" {json.dumps(self.body)[:300]}"
        return f"{self.run} {self.verb} {self.resource.plural}{part} {self.name}{body}"


class Network:
    """What is on its way between the aggregators and the server.

    Attributes:
        sent: requests that the server has not seen.
        answered: requests whose answer the sender has not seen.
    """

    def __init__(self, server: Server) -> None:
        self.sent: list[Request] = []
        self.answered: list[Request] = []
        self._server = server

    async def ask(self, request: Request) -> Any:
        """Send a request and wait for its answer."""
        self.sent.append(request)
        return await request.answer

    @property
    def arrivable(self) -> list[Request]:
        """What may arrive now: a process that stands still sends nothing more for the moment."""
        return [each for each in self.sent if not each.run.process.paused]

    @property
    def deliverable(self) -> list[Request]:
        """The answers that somebody could see now."""
        return [each for each in self.answered if not each.run.process.paused]

    def repeat(self, request: Request) -> None:
        """Send a request again that was done: its answer was lost on a kept connection.

        HTTP allows that for a DELETE (RFC 9110, 9.2.2), and aiohttp's client does it.
        """
        self.answered.remove(request)
        self.sent.append(replace(request, result=None, error=None))

    def arrive(self, request: Request) -> None:
        """Let the server do what was asked."""
        self.sent.remove(request)
        request.before = self._server.find(request.resource, request.name)
        try:
            request.result = request.effect()
        except ApiError as error:
            has_tests = request.verb == "patch" and isinstance(request.body, list)
            request.error = error_from(
                FailedRequest(error.code, encode(error.status()), request.is_write, has_tests)
            )
        request.after = self._server.find(request.resource, request.name)
        self.answered.append(request)

    def refuse(self, request: Request, error: Exception) -> None:
        """Answer a request that never reached the store."""
        self.sent.remove(request)
        request.error = error
        self.answered.append(request)

    def deliver(self, request: Request) -> None:
        """Let the sender see the answer; a dead one never will."""
        self.answered.remove(request)
        if request.answer.done():
            return
        if request.error is not None:
            request.answer.set_exception(request.error)
        else:
            request.answer.set_result(request.result)


class Client(KubeClient):
    """The client of one aggregator."""

    def __init__(self, server: Server, network: Network) -> None:
        self._server = server
        self._network = network

    async def server_version(self) -> str:
        return "v1.36.0"

    async def get(
        self, resource: Resource, key: ObjectKey, subresource: str | None = None
    ) -> Json | None:
        def effect() -> Json | None:
            found = self._server.find(resource, key.name)
            return None if found is None else fresh(found)

        return await self._ask("get", resource, key.name, effect)

    async def list_pages(
        self, selection: Selection, page: int = PAGE_SIZE
    ) -> AsyncGenerator[RawList, None]:
        def effect() -> RawList:
            wanted = dict(
                part.split("=") for part in (selection.label_selector or "").split(",") if part
            )
            if self._server.serves(selection.resource) is None:
                raise not_found(selection.resource.group, selection.resource.plural, "")
            items = tuple(
                encode(each)
                for each in self._server.all(selection.resource).values()
                if wanted.items() <= (each["metadata"].get("labels") or {}).items()
            )
            return RawList(items, str(self._server.store.version))

        yield await self._ask("list", selection.resource, "", effect)

    async def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        def effect() -> Json:
            served = self._server.resource(resource)
            made = self._server.verbs.create(served, namespace, fresh(body), _OPTIONS)
            return made.stored.object

        return await self._ask("create", resource, body["metadata"]["name"], effect, body)

    async def patch(
        self, resource: Resource, key: ObjectKey, patch: Patch, subresource: str | None = None
    ) -> Json:
        kind = "merge-patch" if isinstance(patch, MergePatch) else "json-patch"
        document = (f"application/{kind}+json", encode(patch.body))

        def effect() -> Json:
            served = self._server.resource(resource)
            part = subresource or ""
            done = self._server.verbs.patch(served, tuple(key), document, _OPTIONS, part)
            return done.stored.object

        return await self._ask("patch", resource, key.name, effect, patch.body, subresource or "")

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace_period_seconds: int | None = None,
        propagation: str | None = None,
    ) -> bool:
        def effect() -> bool:
            options = DeleteOptions(grace_period_seconds, propagation, uid, resource_version)
            if self._server.find(resource, key.name) is None:
                return False
            self._server.verbs.delete(self._server.resource(resource), tuple(key), options)
            return True

        return await self._ask("delete", resource, key.name, effect, {"uid": uid})

    async def _ask(
        self,
        verb: str,
        resource: Resource,
        name: str,
        effect: Callable[[], Any],
        body: Any = None,
        subresource: str = "",
    ) -> Any:
        request = Request(RUN.get(), verb, resource, name, effect, body, subresource)
        return await self._network.ask(request)


_OPTIONS = WriteOptions(managed_fields=[])
