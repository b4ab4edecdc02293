"""The store and its indexes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.kube.resources import ObjectKey
from aggregator.kube.store import Store

A, B = ObjectKey("games", "a"), ObjectKey("games", "b")


def test_an_object_is_found_by_key_and_by_every_value_of_its_index() -> None:
    store: Store[list[str]] = Store({"tag": lambda tags: tags})
    assert store.put(A, ["red", "big"]) is None
    assert store.put(B, ["red"]) is None
    assert (store.get(A), len(store), A in store, store.items()) == (
        ["red", "big"],
        2,
        True,
        [(A, ["red", "big"]), (B, ["red"])],
    )
    assert store.by_index("tag", "red") == [["red", "big"], ["red"]]
    assert store.by_index("tag", "none") == []


def test_a_changed_object_leaves_its_old_index_values() -> None:
    store: Store[list[str]] = Store({"tag": lambda tags: tags})
    store.put(A, ["red"])
    assert store.put(A, ["blue"]) == ["red"]
    assert (store.by_index("tag", "red"), store.by_index("tag", "blue")) == ([], [["blue"]])
    assert store.remove(A) == ["blue"]
    assert (store.by_index("tag", "blue"), store.remove(A)) == ([], None)


def test_an_index_that_was_not_declared_is_a_fault_of_the_caller() -> None:
    with pytest.raises(KeyError):
        Store().by_index("tag", "red")


KEYS = st.sampled_from([ObjectKey("n", name) for name in "abcd"])
STEPS = st.lists(st.tuples(KEYS, st.none() | st.lists(st.integers(0, 3))))


@given(STEPS)
def test_an_index_always_equals_a_search_through_all_objects(steps) -> None:
    store: Store[list[int]] = Store({"value": lambda values: values})
    expected: dict[ObjectKey, list[int]] = {}
    for key, values in steps:
        if values is None:
            assert store.remove(key) == expected.pop(key, None)
        else:
            assert store.put(key, values) == expected.get(key)
            expected[key] = values
    assert dict(store.items()) == expected
    for value in range(4):
        found = sorted(store.by_index("value", value))
        assert found == sorted(values for values in expected.values() if value in values)
