"""Watches over HTTP: where they start, what selectors see, bookmarks, and the end of the window."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.component.apiserver.conftest import HISTORY_EVENTS, TOKEN

if TYPE_CHECKING:
    from tests.component.apiserver.conftest import Api

pytestmark = [pytest.mark.component, pytest.mark.timeout(20)]

CONFIG = "/api/v1/namespaces/default/configmaps"


async def create(api: Api, name: str, **labels: str) -> Any:
    return await api.ok("POST", CONFIG, {"metadata": {"name": name, "labels": labels}})


def seen(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return type and name of each event."""
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


@pytest.mark.parametrize("start", ["", "0"], ids=["no-version", "version-0"])
async def test_a_watch_without_a_version_begins_with_the_state(api: Api, start: str) -> None:
    await create(api, "b")
    await create(api, "a")
    params = {"resourceVersion": start} if start else {}
    assert seen(await api.watch(CONFIG, **params)) == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_watch_from_a_version_replays_what_came_after(api: Api) -> None:
    version = (await create(api, "a"))["metadata"]["resourceVersion"]
    await create(api, "b")
    await api.patch(f"{CONFIG}/a", {"data": {"x": "y"}})
    await api.ok("DELETE", f"{CONFIG}/b")
    events = await api.watch(CONFIG, resourceVersion=version)
    assert seen(events) == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)
    assert versions[0] > int(version)


async def test_live_events_follow(api: Api) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with api.session.get(CONFIG, params={"watch": "true"}, headers=headers) as response:
        made = await create(api, "late")
        line = await response.content.readline()
    assert line.startswith(b'{"type":"ADDED","object":{')
    assert f'"resourceVersion":"{made["metadata"]["resourceVersion"]}"'.encode() in line


async def test_a_selector_sees_objects_come_and_go(api: Api) -> None:
    version = (await create(api, "a", team="blue"))["metadata"]["resourceVersion"]
    for labels in ({"team": "red"}, {"extra": "x"}, {"team": "blue"}):
        await api.patch(f"{CONFIG}/a", {"metadata": {"labels": labels}})
    await create(api, "b", team="red")
    await api.ok("DELETE", f"{CONFIG}/b")
    await api.ok("DELETE", f"{CONFIG}/a")
    params = {"resourceVersion": version, "labelSelector": "team=red"}
    assert seen(await api.watch(CONFIG, **params)) == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("ADDED", "b"),
        ("DELETED", "b"),
    ]


async def test_a_version_below_the_window_has_expired(api: Api) -> None:
    version = (await create(api, "a"))["metadata"]["resourceVersion"]
    for number in range(HISTORY_EVENTS + 1):
        await api.patch(f"{CONFIG}/a", {"data": {"n": str(number)}})
    (event,) = await api.watch(CONFIG, resourceVersion=version)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == (
        *("ERROR", 410, "Expired"),
    )


async def test_a_version_of_an_earlier_server_has_expired(api: Api) -> None:
    (event,) = await api.watch(CONFIG, resourceVersion="42")
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


async def test_a_streaming_list_ends_with_the_annotated_bookmark(api: Api) -> None:
    await create(api, "a")
    events = await api.watch(
        CONFIG,
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    )
    assert seen(events[:2]) == [("ADDED", "a"), ("BOOKMARK", "")]
    bookmark = events[1]["object"]
    assert bookmark["kind"] == "ConfigMap"
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    listed = await api.ok("GET", CONFIG)
    assert bookmark["metadata"]["resourceVersion"] == listed["metadata"]["resourceVersion"]


async def test_a_bookmark_before_the_end_carries_the_newest_version(api: Api) -> None:
    made = await create(api, "a")
    other = await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    events = await api.watch(
        CONFIG,
        allowWatchBookmarks="true",
        resourceVersion=made["metadata"]["resourceVersion"],
    )
    assert seen(events) == [("BOOKMARK", "")]
    version = int(events[0]["object"]["metadata"]["resourceVersion"])
    assert version >= int(other["metadata"]["resourceVersion"])


async def test_a_watch_of_one_name_sees_that_object_alone(api: Api) -> None:
    await create(api, "a")
    await create(api, "b")
    assert seen(await api.watch(f"{CONFIG}/b")) == [("ADDED", "b")]


async def test_tables_are_watched_as_tables(api: Api) -> None:
    await create(api, "a")
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    }
    params = {"watch": "true", "includeObject": "None"}
    async with api.session.get(CONFIG, params=params, headers=headers) as response:
        event = json.loads(await response.content.readline())
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table")
    (row,) = event["object"]["rows"]
    assert (row["cells"][:2], row["object"]) == (["a", 0], None)
