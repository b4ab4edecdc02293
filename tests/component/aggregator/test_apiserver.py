"""Client, reflector, events and tokens against the local API server: what fakes cannot promise."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from aggregator.intake.auth import PodIdentity, TokenAuthenticator, Unauthenticated
from aggregator.kube import patch
from aggregator.kube.client import HttpKubeClient
from aggregator.kube.errors import AlreadyExists, Conflict, Rejected, TestFailed
from aggregator.kube.events import EventRecorder
from aggregator.kube.reflector import Reflector
from aggregator.kube.resources import (
    CONFIGMAPS,
    EVENTS,
    GAMESERVERS,
    GAMESERVERSETS,
    PODS,
    ObjectKey,
    ObjectReference,
    Resource,
)
from aggregator.kube.store import Store
from aggregator.kube.transport import Selection

pytestmark = [pytest.mark.component, pytest.mark.timeout(30)]

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


def server(name: str, ops_state: str = "None") -> dict[str, Any]:
    return {
        "apiVersion": GAMESERVERS.api_version,
        "kind": GAMESERVERS.kind,
        "metadata": {"name": name, "labels": {"a/b": "c"}},
        "spec": {"opsState": ops_state},
    }


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"x": "1"}}


async def test_an_object_lives_its_life(kube: HttpKubeClient, namespace: str) -> None:
    key = ObjectKey(namespace, "a-0")
    assert await kube.get(GAMESERVERS, key) is None
    created = await kube.create(GAMESERVERS, namespace, server("a-0"))
    with pytest.raises(AlreadyExists):
        await kube.create(GAMESERVERS, namespace, server("a-0"))
    status = patch.MergePatch({"status": {"currentState": "Ready"}})
    await kube.patch(GAMESERVERS, key, status, "status")
    current = await kube.get(GAMESERVERS, key)
    assert current is not None
    assert current["status"]["currentState"] == "Ready"
    uid, version = created["metadata"]["uid"], created["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        await kube.delete(GAMESERVERS, key, uid="another")
    with pytest.raises(Conflict):
        await kube.delete(GAMESERVERS, key, uid=uid, resource_version=version)
    assert await kube.delete(GAMESERVERS, key, uid=uid)
    assert not await kube.delete(GAMESERVERS, key, uid=uid)


async def test_a_compare_and_set_is_done_whole_or_not_at_all(
    kube: HttpKubeClient, namespace: str
) -> None:
    key = ObjectKey(namespace, "a-0")
    created = await kube.create(GAMESERVERS, namespace, server("a-0", "Allocated"))
    label = patch.pointer("metadata", "labels", "a/b")
    uid_holds = patch.test("/metadata/uid", created["metadata"]["uid"])
    changes = patch.add(label, "new"), patch.replace("/spec/opsState", "Kill")
    refused = patch.JsonPatch((uid_holds, changes[0], patch.test("/spec/opsState", "None")))
    with pytest.raises(TestFailed):
        await kube.patch(GAMESERVERS, key, refused)
    assert await kube.get(GAMESERVERS, key) == created
    done = patch.JsonPatch((uid_holds, patch.test("/spec/opsState", "Allocated"), *changes))
    patched = await kube.patch(GAMESERVERS, key, done)
    assert (patched["metadata"]["labels"], patched["spec"]["opsState"]) == ({"a/b": "new"}, "Kill")


async def test_a_stale_version_in_a_merge_patch_is_a_conflict(
    kube: HttpKubeClient, namespace: str
) -> None:
    created = await kube.create(GAMESERVERS, namespace, server("a-0"))
    version = {"resourceVersion": created["metadata"]["resourceVersion"]}
    key = ObjectKey(namespace, "a-0")

    def ops_state(value: str) -> patch.MergePatch:
        return patch.MergePatch({"metadata": version, "spec": {"opsState": value}})

    await kube.patch(GAMESERVERS, key, ops_state("Maintaining"))
    with pytest.raises(Conflict):
        await kube.patch(GAMESERVERS, key, ops_state("Kill"))


async def test_a_refused_object_names_its_fields(kube: HttpKubeClient, namespace: str) -> None:
    body = {
        "apiVersion": GAMESERVERSETS.api_version,
        "kind": GAMESERVERSETS.kind,
        "metadata": {"name": "a"},
        "spec": {"replicas": -1, "gameServerTemplate": {}},
    }
    with pytest.raises(Rejected) as refused:
        await kube.create(GAMESERVERSETS, namespace, body)
    assert refused.value.code == 422
    assert "spec.replicas" in {cause.field for cause in refused.value.causes}


async def test_a_list_in_pages_is_the_whole_list(kube: HttpKubeClient, namespace: str) -> None:
    for number in range(5):
        await kube.create(CONFIGMAPS, namespace, config_map(f"c{number}", odd=str(number % 2)))
    pages = [len(page.items) async for page in kube.list_pages(Selection(CONFIGMAPS, namespace), 2)]
    odd = await kube.list(CONFIGMAPS, namespace, "odd=1")
    names = [json.loads(item)["metadata"]["name"] for item in odd.items]
    assert (pages, names) == ([2, 2, 1], ["c1", "c3"])


async def test_a_reflector_follows_what_others_do(kube: HttpKubeClient, namespace: str) -> None:
    await kube.create(CONFIGMAPS, namespace, config_map("before", app="a"))
    await kube.create(CONFIGMAPS, namespace, config_map("unselected"))
    changes: asyncio.Queue[tuple[str | None, str | None]] = asyncio.Queue()
    store: Store[str] = Store()

    def decode(raw: bytes) -> str:
        decoded = msgspec.json.decode(raw)
        return f"{decoded['metadata']['name']}={decoded['data']['x']}"

    reflector = Reflector(
        kube,
        Selection(CONFIGMAPS, namespace, "app=a"),
        store,
        decode,
        lambda old, new: changes.put_nowait((old, new)),
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(reflector.run())
        await reflector.synced.wait()
        await kube.create(CONFIGMAPS, namespace, config_map("after", app="a"))
        key = ObjectKey(namespace, "after")
        await kube.patch(CONFIGMAPS, key, patch.MergePatch({"data": {"x": "2"}}))
        await kube.delete(CONFIGMAPS, key)
        seen = [await changes.get() for _ in range(4)]
        running.cancel()
    assert seen == [
        (None, "before=1"),
        (None, "after=1"),
        ("after=1", "after=2"),
        ("after=2", None),
    ]
    assert store.items() == [(ObjectKey(namespace, "before"), "before=1")]


async def test_a_recorded_event_is_counted_up_in_the_api_server(
    kube: HttpKubeClient, namespace: str
) -> None:
    recorder = EventRecorder(kube)
    regarding = ObjectReference(GAMESERVERS, ObjectKey(namespace, "a-0"), "uid-a-0")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(recorder.run())
        for _ in range(3):
            recorder.record(regarding, "Warning", "GsStateChanged", "None -> Maintaining")
        await recorder.flush()
        running.cancel()
    [stored] = [json.loads(item) for item in (await kube.list(EVENTS, namespace)).items]
    assert (stored["involvedObject"]["name"], stored["count"]) == ("a-0", 3)


async def test_the_token_of_a_pod_names_the_pod(kube: HttpKubeClient, namespace: str) -> None:
    body = {
        "metadata": {"name": "minecraft-0"},
        "spec": {"containers": [{"name": "game", "image": "x"}]},
    }
    pod = await kube.create(PODS, namespace, body)
    if await kube.get(SERVICE_ACCOUNTS, ObjectKey(namespace, "default")) is None:
        await kube.create(SERVICE_ACCOUNTS, namespace, {"metadata": {"name": "default"}})
    tokens = {
        audience: await token_of(kube, namespace, pod, audience)
        for audience in ("gamekeeper", "other")
    }
    authenticate = TokenAuthenticator(kube)
    assert await authenticate(tokens["gamekeeper"]) == PodIdentity(
        namespace, "minecraft-0", pod["metadata"]["uid"], "default"
    )
    for wrong in (tokens["other"], "made-up"):
        with pytest.raises(Unauthenticated):
            await authenticate(wrong)


async def token_of(kube: HttpKubeClient, namespace: str, pod: dict[str, Any], audience: str) -> str:
    """Return a projected token, as the kubelet asks for it."""
    reference = {"apiVersion": "v1", "kind": "Pod"} | {
        field: pod["metadata"][field] for field in ("name", "uid")
    }
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [audience], "expirationSeconds": 600, "boundObjectRef": reference},
    }
    # The transport has no verb that creates a subresource: only kubelets ask for tokens.
    response = await kube._api.call_api(
        SERVICE_ACCOUNTS.path(namespace, "default", "token"),
        "POST",
        header_params={"Content-Type": "application/json"},
        body=body,
        auth_settings=["BearerToken"],
        _preload_content=False,
    )
    token: str = json.loads(await response.read())["status"]["token"]
    return token
