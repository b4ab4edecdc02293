"""What holds for the unit tests."""

from hypothesis import strategies as st


def pytest_collection_finish() -> None:
    """Let hypothesis read the tables of Unicode now: in a fresh clone that takes seconds.

    Whichever test came first would spend its own five seconds on it.
    """
    st.text().validate()
