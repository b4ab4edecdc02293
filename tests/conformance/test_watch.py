"""Watch start x event: where a watch begins, and what a watcher is told."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, invalid, matrix
from tests.conformance.client import TABLE, make, pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conformance.client import Json, Namespace

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


async def take(watch: AsyncIterator[Json], count: int) -> list[Json]:
    """Return the first events of a watch, without bookmarks, and end it."""
    events: list[Json] = []
    async with aclosing(watch) as stream:  # type: ignore[type-var]
        async for event in stream:
            if event["type"] != "BOOKMARK":
                events.append(event)
            if len(events) == count:
                break
    return events


def shown(events: list[Json]) -> list[tuple[str, str]]:
    """Return type and name of each event."""
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


async def _version(ns: Namespace, plural: str) -> str:
    return str((await ns.list(plural)).ok()["metadata"]["resourceVersion"])


@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_watch_from_a_version_tells_what_happened_since(
    namespace: Namespace, plural: str
) -> None:
    await namespace.create(plural, "before")
    version = await _version(namespace, plural)
    await namespace.create(plural, "game")
    change = {"metadata": {"labels": {"a": "b"}}}
    await namespace.patch("merge", plural, "game", change)
    await namespace.delete(plural, "game")
    path = namespace.path(plural)
    events = await take(namespace.cluster.watch(path, resourceVersion=version), 3)
    assert shown(events) == [("ADDED", "game"), ("MODIFIED", "game"), ("DELETED", "game")], (
        sources.WATCH_VERSIONS
    )
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions)), sources.RESOURCE_VERSIONS
    assert events[2]["object"]["metadata"]["labels"] == {"a": "b"}, sources.WATCH


@pytest.mark.parametrize("start", ["unset", "0"])
@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_watch_from_no_version_begins_with_the_state(
    namespace: Namespace, plural: str, start: str
) -> None:
    made = await namespace.create(plural, "game")
    version = made["metadata"]["resourceVersion"]
    # "0" may be answered from any cache: this waits until the cache holds the object.
    (await namespace.list(plural, resourceVersion=version, limit="500")).ok()
    query = {} if start == "unset" else {"resourceVersion": "0"}
    field = "metadata.name=game"
    stream = namespace.cluster.watch(namespace.path(plural), fieldSelector=field, **query)
    async with aclosing(stream) as events:  # type: ignore[type-var]
        first = await anext(aiter(events))
        assert shown([first]) == [("ADDED", "game")], sources.WATCH_VERSIONS
        await namespace.delete(plural, "game")
        second = await anext(aiter(events))
        assert shown([second]) == [("DELETED", "game")], sources.WATCH_VERSIONS


@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_watch_from_before_the_window_is_expired(namespace: Namespace, plural: str) -> None:
    path = namespace.path(plural)
    (event,) = await take(namespace.cluster.watch(path, resourceVersion="1"), 1)
    status = event["object"]
    assert (event["type"], status["kind"], status["code"], status["reason"]) == (
        "ERROR",
        "Status",
        410,
        "Expired",
    ), sources.WATCH_VERSIONS


async def test_a_watch_from_the_future_tells_nothing_older(namespace: Namespace) -> None:
    future = str(int(await _version(namespace, "secrets")) + 10_000_000)
    path = namespace.path("secrets")
    events = []
    stream = namespace.cluster.watch(path, seconds=1, resourceVersion=future)
    await namespace.create("secrets", "game")
    async for event in stream:
        events.append(event)  # noqa: PERF401 - a comprehension would hide that this is a stream
    assert events == [], sources.WATCH_VERSIONS


async def test_a_watch_ends_by_itself_at_its_timeout(namespace: Namespace) -> None:
    path = namespace.path("secrets")
    version = await _version(namespace, "secrets")
    events = [
        event["type"]
        async for event in namespace.cluster.watch(path, seconds=1, resourceVersion=version)
    ]
    assert events == [], sources.WATCH


async def _until_bookmark(stream: AsyncIterator[Json]) -> tuple[list[Json], Json]:
    before = []
    async for event in stream:
        if event["type"] == "BOOKMARK":
            annotations = event["object"]["metadata"].get("annotations") or {}
            if annotations.get(INITIAL_EVENTS_END) == "true":
                return before, event["object"]
        else:
            before.append(event)
    raise AssertionError("the stream ended without the bookmark that ends the initial events")


WATCH_LIST = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


@pytest.mark.parametrize("version", ["", "0"])
@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_streaming_list_ends_its_state_with_a_bookmark(
    namespace: Namespace, plural: str, version: str
) -> None:
    made = [await namespace.create(plural, name) for name in ("one", "two")]
    query = WATCH_LIST | {"resourceVersion": version, "labelSelector": "!absent"}
    if version == "0":
        newest = made[1]["metadata"]["resourceVersion"]
        (await namespace.list(plural, resourceVersion=newest, limit="500")).ok()
    async with aclosing(  # type: ignore[type-var]
        namespace.cluster.watch(namespace.path(plural), **query)
    ) as stream:
        before, bookmark = await _until_bookmark(stream)
        own = [event for event in shown(before) if event[1] in ("one", "two")]
        assert sorted(own) == [("ADDED", "one"), ("ADDED", "two")], sources.WATCH_LIST
        newest = max(int(obj["metadata"]["resourceVersion"]) for obj in made)
        assert int(bookmark["metadata"]["resourceVersion"]) >= newest, sources.WATCH_LIST
        assert (bookmark["kind"], bookmark["apiVersion"]) == (
            made[0]["kind"],
            made[0]["apiVersion"],
        ), sources.BOOKMARKS
        await namespace.delete(plural, "one")
        async for event in stream:
            if event["type"] != "BOOKMARK":
                assert shown([event]) == [("DELETED", "one")], sources.WATCH_LIST
                break


async def test_a_streaming_list_of_nothing_is_its_bookmark(namespace: Namespace) -> None:
    path = namespace.path("specimens")
    async with aclosing(namespace.cluster.watch(path, **WATCH_LIST)) as stream:  # type: ignore[type-var]
        before, _ = await _until_bookmark(stream)
    assert before == [], sources.WATCH_LIST


async def test_initial_events_can_be_declined(namespace: Namespace) -> None:
    made = await namespace.create("secrets", "game")
    query = WATCH_LIST | {
        "sendInitialEvents": "false",
        "resourceVersion": made["metadata"]["resourceVersion"],
    }
    path = namespace.path("secrets")
    async with aclosing(namespace.cluster.watch(path, **query)) as stream:  # type: ignore[type-var]
        await namespace.create("secrets", "later")
        (event,) = await take(stream, 1)
    assert shown([event]) == [("ADDED", "later")], sources.WATCH_LIST


OPTIONS: dict[tuple[str, ...], Expected] = {
    ("initial-events-without-match",): invalid(
        sources.LIST_OPTIONS_VALIDATION, ("Forbidden", "resourceVersionMatch")
    ),
    ("match-without-initial-events",): invalid(
        sources.LIST_OPTIONS_VALIDATION, ("Forbidden", "resourceVersionMatch")
    ),
    ("exact-match",): invalid(
        sources.LIST_OPTIONS_VALIDATION, ("Forbidden", "resourceVersionMatch")
    ),
}
OPTION_QUERIES = {
    "initial-events-without-match": {"sendInitialEvents": "true", "allowWatchBookmarks": "true"},
    "match-without-initial-events": {
        "resourceVersionMatch": "NotOlderThan",
        "resourceVersion": "1",
    },
    "exact-match": {"sendInitialEvents": "true", "resourceVersionMatch": "Exact"},
}


@pytest.mark.parametrize(("what", "expected"), matrix(OPTIONS))
async def test_options_of_a_watch_that_do_not_fit_are_refused(
    namespace: Namespace, what: str, expected: Expected
) -> None:
    query = {"watch": "true", "timeoutSeconds": "1", **OPTION_QUERIES[what]}
    answer = await namespace.list("secrets", **query)
    assert answer.outcome == (422, "Invalid"), f"{expected.source}\n{answer.body}"
    assert ("FieldValueForbidden", "resourceVersionMatch") in answer.causes, expected.source


async def test_initial_events_are_for_watches_only(namespace: Namespace) -> None:
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    answer = await namespace.list("secrets", **query, resourceVersion="1")
    assert answer.outcome == (422, "Invalid"), f"{sources.LIST_OPTIONS_VALIDATION}\n{answer.body}"


LABELLED = {"metadata": {"labels": {"group": "x"}}}
TRANSITIONS: tuple[tuple[str, Json, Json, list[str]], ...] = (
    ("enters", {}, LABELLED, ["ADDED"]),
    ("stays", LABELLED, {"metadata": {"annotations": {"a": "b"}}}, ["ADDED", "MODIFIED"]),
    ("leaves", LABELLED, {"metadata": {"labels": {"group": None}}}, ["ADDED", "DELETED"]),
    ("leaves-by-value", LABELLED, {"metadata": {"labels": {"group": "y"}}}, ["ADDED", "DELETED"]),
)


@pytest.mark.parametrize(
    ("before", "change", "types"), [pytest.param(*t[1:], id=t[0]) for t in TRANSITIONS]
)
async def test_an_object_that_enters_a_label_selector_is_added_and_one_that_leaves_deleted(
    namespace: Namespace, before: Json, change: Json, types: list[str]
) -> None:
    version = await _version(namespace, "secrets")
    await namespace.create("secrets", "game", before)
    await namespace.patch("merge", "secrets", "game", change)
    await namespace.create("secrets", "last", LABELLED)
    path = namespace.path("secrets")
    stream = namespace.cluster.watch(path, resourceVersion=version, labelSelector="group=x")
    events = await take(stream, len(types) + 1)
    assert shown(events) == [*((kind, "game") for kind in types), ("ADDED", "last")], sources.WATCH


async def test_what_leaves_a_selector_carries_the_version_of_the_change(
    namespace: Namespace,
) -> None:
    made = await namespace.create("secrets", "game", LABELLED)
    version = made["metadata"]["resourceVersion"]
    change = {"metadata": {"labels": {"group": None}}}
    changed = (await namespace.patch("merge", "secrets", "game", change)).ok()
    path = namespace.path("secrets")
    stream = namespace.cluster.watch(path, resourceVersion=version, labelSelector="group=x")
    (event,) = await take(stream, 1)
    metadata = event["object"]["metadata"]
    # The last state that was selected, so that caches can index it, and the version to go on from.
    assert (event["type"], metadata["labels"], metadata["resourceVersion"]) == (
        "DELETED",
        {"group": "x"},
        changed["metadata"]["resourceVersion"],
    ), sources.CACHER


async def test_a_pod_enters_a_field_selector_when_it_is_bound(namespace: Namespace) -> None:
    version = await _version(namespace, "pods")
    (await namespace.post("pods", pod())).ok()
    node = "conformance-no-such-node"
    binding = make("pods", "game") | {
        "kind": "Binding",
        "target": {"kind": "Node", "name": node},
    }
    path = namespace.path("pods", "game", "binding")
    (await namespace.cluster.request("POST", path, binding)).ok()
    streams = {
        "": ["ADDED", "DELETED"],
        node: ["ADDED"],
    }
    for wanted, types in streams.items():
        stream = namespace.cluster.watch(
            namespace.path("pods"),
            resourceVersion=version,
            fieldSelector=f"spec.nodeName={wanted}",
        )
        events = await take(stream, len(types))
        assert [event["type"] for event in events] == types, sources.FIELD_SELECTORS


async def test_a_watch_of_tables_sends_one_row_for_each_event(namespace: Namespace) -> None:
    version = await _version(namespace, "specimens")
    await namespace.create("specimens", "game", {"spec": {"replicas": 3}})
    query = {"watch": "true", "timeoutSeconds": "1", "resourceVersion": version}
    answer = await namespace.cluster.request(
        "GET", namespace.path("specimens"), query=query, headers={"Accept": TABLE}
    )
    event: Any = answer.body
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table"), sources.TABLES
    (row,) = event["object"]["rows"]
    assert row["cells"][:3] == ["game", 3, "Open"], sources.TABLES
