"""A few kinds of a Kubernetes API in memory, to see what a kubelet asks and writes.

Only as much as the kubelet uses; the real local API server has its own tests. Lists and watches of
pods, configmaps and secrets, bindings, status patches, deletes, nodes, service-account tokens. A
test may drop watches, answer with an error, or set the lifetime of tokens.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from aiohttp import web

from shared.clock import utc_now

Json = dict[str, Any]


class FakeKubernetes:
    """The objects, and the aiohttp application that serves them."""

    def __init__(self) -> None:
        self.version = 10
        self.pods: dict[tuple[str, str], Json] = {}
        self.nodes: dict[str, Json] = {}
        self.config_maps: dict[str, Json] = {}
        self.secrets: dict[str, Json] = {}
        self.events: list[tuple[int, Json]] = []
        self.token_requests: list[Json] = []
        self.token_seconds = 3600
        self.status_writes: list[Json] = []
        self.lists = 0
        self.failing: list[int] = []  # statuses to answer the next requests with
        self._changed = asyncio.Condition()
        self._dropped = 0
        self.oldest = 0

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._fail])
        add = app.router.add_route
        namespace = "/api/v1/namespaces/{namespace}"
        add("GET", "/api/v1/pods", self._list_pods)
        add("POST", "/api/v1/nodes", self._create_node)
        add("GET", "/api/v1/nodes", self._list_nodes)
        add("GET", "/api/v1/nodes/{name}", self._get_node)
        add("PATCH", "/api/v1/nodes/{name}/status", self._patch_node)
        add("POST", f"{namespace}/pods/{{name}}/binding", self._bind)
        add("PATCH", f"{namespace}/pods/{{name}}/status", self._patch_pod)
        add("DELETE", f"{namespace}/pods/{{name}}", self._delete_pod)
        add("GET", f"{namespace}/configmaps/{{name}}", self._get_config_map)
        add("GET", f"{namespace}/secrets/{{name}}", self._get_secret)
        add("POST", f"{namespace}/serviceaccounts/{{name}}/token", self._token)
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"
        for method, path in (
            ("POST", f"{namespace}/events"),
            ("PATCH", f"{namespace}/events/{{name}}"),
            ("PATCH", leases),
        ):
            add(method, path, self._accept)
        return app

    # What a test does.

    async def create_pod(self, name: str, spec: Json, **metadata: Any) -> Json:
        pod = {
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": f"uid-{name}-{self.version}",
                **metadata,
            },
            "spec": spec,
            "status": {"phase": "Pending"},
        }
        await self._store(pod, "ADDED")
        return pod

    async def delete_pod(self, name: str, grace: int) -> None:
        pod = self.pods["default", name]
        stamp = (utc_now() + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {
            **pod["metadata"],
            "deletionTimestamp": stamp,
            "deletionGracePeriodSeconds": grace,
        }
        await self._store({**pod, "metadata": metadata}, "MODIFIED")

    async def force_delete_pod(self, name: str) -> None:
        await self._remove(self.pods["default", name])

    def forget(self) -> None:
        """Drop what a test has set, so that the next one finds a new API."""
        self.config_maps.clear()
        self.secrets.clear()
        self.token_requests.clear()
        self.status_writes.clear()
        self.failing.clear()
        self.token_seconds = 3600

    async def drop_watches(self) -> None:
        async with self._changed:
            self._dropped += 1
            self._changed.notify_all()

    async def until_pod(self, name: str, wanted: Any, seconds: float = 60) -> Json:
        """Return the pod once `wanted(pod)` is true."""

        def pod() -> Json | None:
            found = self.pods.get(("default", name))
            return found if found is not None and wanted(found) else None

        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(pod)
        except TimeoutError:
            raise AssertionError(json.dumps(self.pods.get(("default", name)), indent=1)) from None
        found = pod()
        assert found is not None
        return found

    async def until_gone(self, name: str, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: ("default", name) not in self.pods)

    async def until(self, condition: Any, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    # Handlers.

    @web.middleware
    async def _fail(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.failing:
            return _status(self.failing.pop(0), "InternalError")
        response: web.StreamResponse = await handler(request)
        return response

    async def _store(self, pod: Json, event: str) -> Json:
        async with self._changed:
            self.version += 1
            metadata = {**pod["metadata"], "resourceVersion": str(self.version)}
            stored = {**pod, "metadata": metadata}
            self.pods[metadata["namespace"], metadata["name"]] = stored
            self.events.append((self.version, {"type": event, "object": stored}))
            self._changed.notify_all()
        return stored

    async def _remove(self, pod: Json) -> None:
        async with self._changed:
            self.version += 1
            metadata = {**pod["metadata"], "resourceVersion": str(self.version)}
            del self.pods[metadata["namespace"], metadata["name"]]
            gone = {"type": "DELETED", "object": {**pod, "metadata": metadata}}
            self.events.append((self.version, gone))
            self._changed.notify_all()

    async def _list_pods(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"metadata": metadata, "items": list(self.pods.values())})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        if version < self.oldest:
            return _status(410, "Expired")
        dropped = self._dropped
        response = web.StreamResponse()
        await response.prepare(request)
        while dropped == self._dropped:
            async with self._changed:
                news = [event for at, event in self.events if at > version]
                version = self.version
                if not news:
                    await self._changed.wait()
            for event in news:
                await response.write(json.dumps(event).encode() + b"\n")
        return response

    async def _create_node(self, request: web.Request) -> web.Response:
        node = await request.json()
        if node["metadata"]["name"] in self.nodes:
            return _status(409, "AlreadyExists")
        self.nodes[node["metadata"]["name"]] = node
        return web.json_response(node, status=201)

    async def _list_nodes(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await self._until_dropped()
            return response
        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"metadata": metadata, "items": list(self.nodes.values())})

    async def _until_dropped(self) -> None:
        dropped = self._dropped
        async with self._changed:
            await self._changed.wait_for(lambda: dropped != self._dropped)

    async def _get_node(self, request: web.Request) -> web.Response:
        return _object(self.nodes, request)

    async def _accept(self, request: web.Request) -> web.Response:
        """Take events and leases, which nothing here reads."""
        return web.json_response(await request.json())

    async def _patch_node(self, request: web.Request) -> web.Response:
        node = self.nodes[request.match_info["name"]]
        async with self._changed:
            node["status"] = (await request.json())["status"]
            self._changed.notify_all()
        return web.json_response(node)

    async def _bind(self, request: web.Request) -> web.Response:
        pod = self._pod(request)
        if pod is None:
            return _status(404, "NotFound")
        target = (await request.json())["target"]["name"]
        await self._store({**pod, "spec": {**pod["spec"], "nodeName": target}}, "MODIFIED")
        return web.json_response({"status": "Success"}, status=201)

    async def _patch_pod(self, request: web.Request) -> web.Response:
        pod = self._pod(request)
        body = await request.json()
        if pod is None:
            return _status(404, "NotFound")
        if body["metadata"]["uid"] != pod["metadata"]["uid"]:
            return _status(409, "Conflict")
        self.status_writes.append(body["status"])
        return web.json_response(await self._store({**pod, "status": body["status"]}, "MODIFIED"))

    async def _delete_pod(self, request: web.Request) -> web.Response:
        pod = self._pod(request)
        body = await request.json()
        if pod is None:
            return _status(404, "NotFound")
        if body["preconditions"]["uid"] != pod["metadata"]["uid"]:
            return _status(409, "Conflict")
        await self._remove(pod)
        return web.json_response({"status": "Success"})

    async def _get_config_map(self, request: web.Request) -> web.Response:
        return _object(self.config_maps, request)

    async def _get_secret(self, request: web.Request) -> web.Response:
        return _object(self.secrets, request)

    async def _token(self, request: web.Request) -> web.Response:
        self.token_requests.append((await request.json())["spec"])
        expires = utc_now() + timedelta(seconds=self.token_seconds)
        status = {
            "token": f"token-{len(self.token_requests)}",
            "expirationTimestamp": expires.isoformat(),
        }
        return web.json_response({"status": status}, status=201)

    def _pod(self, request: web.Request) -> Json | None:
        return self.pods.get((request.match_info["namespace"], request.match_info["name"]))


def _object(objects: dict[str, Json], request: web.Request) -> web.Response:
    found = objects.get(request.match_info["name"])
    return _status(404, "NotFound") if found is None else web.json_response(found)


def _status(code: int, reason: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "code": code}
    return web.json_response(body, status=code)
