"""Label and field selectors."""

import pytest

from localcluster.apiserver.errors import ApiError
from localcluster.apiserver.selectors import Selector, parse_fields, parse_labels

LABELS = {"app": "game", "tier": "gold", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        pytest.param("", True, id="nothing"),
        pytest.param("app=game", True, id="equal"),
        pytest.param("app==game", True, id="equal-twice"),
        pytest.param("app = web", False, id="other-value"),
        pytest.param("app!=web", True, id="not-equal"),
        pytest.param("absent!=x", True, id="absent-is-not-equal"),
        pytest.param("app", True, id="exists"),
        pytest.param("!app", False, id="does-not-exist"),
        pytest.param("!absent", True, id="absent"),
        pytest.param("tier in (gold, silver)", True, id="in"),
        pytest.param("tier notin (gold,silver)", False, id="notin"),
        pytest.param("absent notin (gold)", True, id="absent-is-notin"),
        pytest.param("absent in (gold)", False, id="absent-is-in-nothing"),
        pytest.param("empty=", True, id="empty-value"),
        pytest.param("app=game,tier in (silver,gold),!absent", True, id="all-hold"),
        pytest.param("app=game,tier=silver", False, id="one-fails"),
    ],
)
def test_labels_are_selected(text: str, matches: bool) -> None:
    obj = {"metadata": {"labels": LABELS}}
    assert Selector(labels=parse_labels(text)).matches(obj) is matches


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "a in (b", "=x", "a b"])
def test_an_unreadable_requirement_is_named(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_labels(text)
    assert caught.value.code == 400
    assert caught.value.message.startswith(f"unable to parse requirement: {text!r}")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        pytest.param("metadata.name=a", True, id="equal"),
        pytest.param("metadata.name!=a", False, id="not-equal"),
        pytest.param("spec.nodeName=", True, id="absent-is-empty"),
        pytest.param("spec.hostNetwork=true", True, id="boolean"),
        pytest.param("metadata.name=a,spec.nodeName=n", False, id="both"),
    ],
)
def test_fields_are_selected(text: str, matches: bool) -> None:
    supported = ("metadata.name", "spec.nodeName", "spec.hostNetwork")
    obj = {"metadata": {"name": "a"}, "spec": {"hostNetwork": True}}
    assert Selector(fields=parse_fields(text, supported)).matches(obj) is matches


def test_a_field_that_is_not_indexed_is_refused() -> None:
    with pytest.raises(ApiError, match=r"field label not supported: spec.x"):
        parse_fields("spec.x=1", ("metadata.name",))


def test_a_namespace_is_part_of_the_selection() -> None:
    objects = [{"metadata": {"namespace": name}} for name in ("a", "b")]
    assert [Selector(namespace="b").matches(obj) for obj in objects] == [False, True]
