"""Lists: pages, versions, selectors, and the shape of what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance import sources
from tests.conformance.cells import Expected, invalid, matrix
from tests.conformance.client import pod

if TYPE_CHECKING:
    from tests.conformance.client import Json, Namespace

NODE = "conformance-no-such-node"


async def _named(ns: Namespace, plural: str, *names: str) -> None:
    for name in names:
        await ns.create(plural, name)


@pytest.mark.parametrize("plural", ["secrets", "specimens"])
async def test_a_list_comes_in_pages_in_the_order_of_names(
    namespace: Namespace, plural: str
) -> None:
    await _named(namespace, plural, "c", "a", "e", "b", "d")
    pages: list[tuple[list[str], int | None]] = []
    query = {"limit": "2"}
    while True:
        page = (await namespace.list(plural, **query)).ok()
        names = [item["metadata"]["name"] for item in page["items"]]
        pages.append((names, page["metadata"].get("remainingItemCount")))
        if not page["metadata"].get("continue"):
            break
        query = {"limit": "2", "continue": page["metadata"]["continue"]}
    assert pages == [(["a", "b"], 3), (["c", "d"], 1), (["e"], None)], sources.CHUNKS


@pytest.mark.parametrize("change", ["create", "delete"])
async def test_the_pages_of_a_list_show_one_moment(namespace: Namespace, change: str) -> None:
    await _named(namespace, "secrets", "a", "b", "c")
    first = (await namespace.list("secrets", limit="1")).ok()
    if change == "create":
        await namespace.create("secrets", "d")
    else:
        await namespace.delete("secrets", "c")
    token = first["metadata"]["continue"]
    rest = (await namespace.list("secrets", **{"limit": "5", "continue": token})).ok()
    names = [item["metadata"]["name"] for item in rest["items"]]
    assert names == ["b", "c"], sources.CHUNKS
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"], (
        sources.CHUNKS
    )


async def test_a_selected_list_does_not_count_what_remains(namespace: Namespace) -> None:
    for name in ("a", "b", "c"):
        await namespace.create("secrets", name, {"metadata": {"labels": {"group": "x"}}})
    page = (await namespace.list("secrets", limit="1", labelSelector="group=x")).ok()
    assert ("remainingItemCount" in page["metadata"], bool(page["metadata"]["continue"])) == (
        False,
        True,
    ), sources.CHUNKS


async def test_an_empty_list_has_items(namespace: Namespace) -> None:
    listed = (await namespace.list("specimens")).ok()
    assert (listed["kind"], listed["apiVersion"], listed["items"]) == (
        "SpecimenList",
        "conformance.gamekeeper.dev/v1",
        [],
    ), sources.API_CONCEPTS
    assert int(listed["metadata"]["resourceVersion"]) > 0, sources.RESOURCE_VERSIONS


async def test_the_version_of_a_list_is_the_moment_it_shows(namespace: Namespace) -> None:
    made = await namespace.create("configmaps", "game")
    listed = (await namespace.list("configmaps")).ok()
    assert int(listed["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])
    cluster_wide = (await namespace.cluster.get("/api/v1/configmaps")).ok()
    assert int(cluster_wide["metadata"]["resourceVersion"]) >= int(
        listed["metadata"]["resourceVersion"]
    ), sources.LIST_VERSIONS


REFUSED: dict[tuple[str, ...], Expected] = {
    ("unknown-continue",): Expected(400, "BadRequest", sources.CHUNKS),
    ("match-without-version",): invalid(
        sources.LIST_OPTIONS_VALIDATION, ("Forbidden", "resourceVersionMatch")
    ),
    ("unknown-match",): invalid(
        sources.LIST_OPTIONS_VALIDATION, ("NotSupported", "resourceVersionMatch")
    ),
    ("exact-zero",): invalid(
        sources.LIST_OPTIONS_VALIDATION, ("Forbidden", "resourceVersionMatch")
    ),
    ("future",): Expected(
        504, "Timeout", sources.LIST_VERSIONS, frozenset({("ResourceVersionTooLarge", "")})
    ),
    ("label-syntax",): Expected(400, "BadRequest", sources.LABELS),
    ("label-value",): Expected(400, "BadRequest", sources.LABELS),
    ("field-syntax",): Expected(400, "BadRequest", sources.FIELD_SELECTORS),
    ("field-unsupported",): Expected(400, "BadRequest", sources.FIELD_SELECTORS),
}
QUERIES = {
    "unknown-continue": {"continue": "bm90IGEgdG9rZW4"},
    "match-without-version": {"resourceVersionMatch": "Exact"},
    "unknown-match": {"resourceVersionMatch": "Roughly", "resourceVersion": "1"},
    "exact-zero": {"resourceVersionMatch": "Exact", "resourceVersion": "0"},
    "future": {"resourceVersionMatch": "NotOlderThan"},
    "label-syntax": {"labelSelector": "a in b"},
    "label-value": {"labelSelector": "a=!b"},
    "field-syntax": {"fieldSelector": "metadata.name"},
    "field-unsupported": {"fieldSelector": "data.a=b"},
}


@pytest.mark.parametrize(("what", "expected"), matrix(REFUSED))
async def test_a_list_is_refused(namespace: Namespace, what: str, expected: Expected) -> None:
    query = dict(QUERIES[what])
    if what == "future":
        now = (await namespace.list("configmaps")).ok()["metadata"]["resourceVersion"]
        query["resourceVersion"] = str(int(now) + 10_000_000)
    expected.check(await namespace.list("configmaps", **query))


async def test_a_list_at_a_version_before_every_object_shows_none_of_them(
    namespace: Namespace,
) -> None:
    await _named(namespace, "specimens", "a", "b")
    query = {"resourceVersion": "1", "resourceVersionMatch": "Exact"}
    answer = await namespace.list("specimens", **query)
    shown = (answer.code, answer.body.get("reason"), answer.body.get("items"))
    # Which of the two depends on how long ago the store was compacted.
    assert shown in ((410, "Expired", None), (200, None, [])), sources.LIST_VERSIONS


@pytest.mark.parametrize(
    ("match", "names"),
    [
        pytest.param("Exact", ["a"], id="exact"),
        pytest.param("NotOlderThan", ["a", "b"], id="not-older-than"),
    ],
)
async def test_a_list_at_a_version_matches_as_asked(
    namespace: Namespace, match: str, names: list[str]
) -> None:
    first = await namespace.create("secrets", "a")
    second = await namespace.create("secrets", "b")
    wanted = first if match == "Exact" else second
    query = {
        "resourceVersion": wanted["metadata"]["resourceVersion"],
        "resourceVersionMatch": match,
    }
    assert await namespace.names("secrets", **query) == names, sources.LIST_VERSIONS


LABELLED: tuple[tuple[str, str, list[str]], ...] = (
    ("equals", "tier=game", ["a", "b"]),
    ("double-equals", "tier==game", ["a", "b"]),
    ("differs-or-absent", "tier!=game", ["c", "d"]),
    ("in", "tier in (game, web)", ["a", "b", "c"]),
    ("notin", "tier notin (game)", ["c", "d"]),
    ("exists", "tier", ["a", "b", "c"]),
    ("absent", "!tier", ["d"]),
    ("empty-value", "note=", ["b"]),
    ("all-of", "tier=game,note", ["b"]),
    ("prefixed", "example.com/tier=game", ["a"]),
    ("none", "tier=absent", []),
)
LABELS: dict[str, Json] = {
    "a": {"tier": "game", "example.com/tier": "game"},
    "b": {"tier": "game", "note": ""},
    "c": {"tier": "web"},
    "d": {},
}


@pytest.mark.parametrize(
    ("selector", "names"), [pytest.param(*row[1:], id=row[0]) for row in LABELLED]
)
async def test_a_label_selector_selects(
    namespace: Namespace, selector: str, names: list[str]
) -> None:
    for name, labels in LABELS.items():
        await namespace.create("secrets", name, {"metadata": {"labels": labels}})
    assert await namespace.names("secrets", labelSelector=selector) == names, sources.LABELS


FIELDS: tuple[tuple[str, str, list[str]], ...] = (
    ("name", "metadata.name=a", ["a"]),
    ("other-name", "metadata.name!=a", ["b", "c"]),
    ("node", f"spec.nodeName={NODE}", ["b", "c"]),
    ("no-node", "spec.nodeName=", ["a"]),
    ("phase", "status.phase=Running", ["c"]),
    ("other-phase", "status.phase!=Running", ["a", "b"]),
    ("restart-policy", "spec.restartPolicy=Never", ["b"]),
    ("scheduler", "spec.schedulerName=conformance.gamekeeper.dev", ["a", "b", "c"]),
    ("account", "spec.serviceAccountName=default", ["a", "b", "c"]),
    ("both", f"spec.nodeName={NODE},status.phase=Pending", ["b"]),
)


@pytest.mark.parametrize(
    ("selector", "names"), [pytest.param(*row[1:], id=row[0]) for row in FIELDS]
)
async def test_a_field_selector_selects_pods(
    namespace: Namespace, selector: str, names: list[str]
) -> None:
    for body in (pod("a"), pod("b", nodeName=NODE, restartPolicy="Never"), pod("c", nodeName=NODE)):
        (await namespace.post("pods", body)).ok()
    running = {"status": {"phase": "Running"}}
    (await namespace.patch("merge", "pods", "c/status", running)).ok()
    assert await namespace.names("pods", fieldSelector=selector) == names, sources.FIELD_SELECTORS


CUSTOM_FIELDS: dict[tuple[str, ...], Expected] = {
    ("spec.mode=Closed",): Expected(200, None, sources.CRD),
    ("metadata.name=b",): Expected(200, None, sources.CRD),
    ("spec.word=xyz",): Expected(400, "BadRequest", sources.CRD),
}


@pytest.mark.parametrize(("selector", "expected"), matrix(CUSTOM_FIELDS))
async def test_a_custom_resource_is_selected_by_the_fields_it_declares(
    namespace: Namespace, selector: str, expected: Expected
) -> None:
    await namespace.create("specimens", "a")
    await namespace.create("specimens", "b", {"spec": {"mode": "Closed", "word": "xyz"}})
    answer = await namespace.list("specimens", fieldSelector=selector)
    expected.check(answer)
    if expected.code == 200:
        assert [item["metadata"]["name"] for item in answer.body["items"]] == ["b"]


@pytest.mark.parametrize(("plural", "carried"), [("secrets", False), ("specimens", True)])
async def test_items_of_built_in_kinds_do_not_repeat_their_kind(
    namespace: Namespace, plural: str, carried: bool
) -> None:
    await namespace.create(plural, "game")
    (item,) = (await namespace.list(plural)).ok()["items"]
    assert ("kind" in item, "apiVersion" in item) == (carried, carried), sources.API_CONCEPTS
