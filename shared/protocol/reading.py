"""Reads decoded JSON with bounds and names the field that is wrong. Pure, standard library only.

The agent has no pydantic; this is what it needs to refuse a malformed answer whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """A JSON object together with its path, for error messages."""

    value: dict[str, Any]
    path: str

    @classmethod
    def of(cls, value: Any, path: str) -> ObjectReader:
        """Return a reader of `value`, which must be an object.

        Raises:
            InvalidInput: it is something else.
        """
        if not isinstance(value, dict):
            raise InvalidInput(path, "must be an object")
        return cls(value, path)

    def at(self, key: str) -> str:
        """Return the path of the field `key`."""
        return f"{self.path}.{key}" if self.path else key

    def optional(self, key: str) -> Any:
        """Return the raw value of `key`, None when absent."""
        return self.value.get(key)

    def text(self, key: str, *, default: str | None = None, max_length: int = 1024) -> str:
        """Return a string field; without a default it is required."""
        value = self.value.get(key, default)
        if not isinstance(value, str):
            raise InvalidInput(self.at(key), "must be a string")
        if len(value) > max_length:
            raise InvalidInput(self.at(key), f"must have at most {max_length} characters")
        return value

    def number(self, key: str, *, least: float, most: float, default: float | None = None) -> float:
        """Return a number field within its bounds; without a default it is required."""
        value = self.value.get(key, default)
        # NB: bool is an int in Python; true is no number on the wire.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(self.at(key), "must be a number")
        if not least <= value <= most:
            raise InvalidInput(self.at(key), f"must be between {least:g} and {most:g}")
        return value

    def integer(self, key: str, *, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number field within its bounds; without a default it is required."""
        value = self.number(key, least=least, most=most, default=default)
        if not isinstance(value, int):
            raise InvalidInput(self.at(key), "must be a whole number")
        return value

    def objects(self, key: str, *, most: int) -> list[ObjectReader]:
        """Return readers of a list of objects; absent is empty."""
        return read_objects(self.value.get(key, []), self.at(key), most=most)

    def texts(self, key: str, *, most: int, max_length: int) -> tuple[str, ...]:
        """Return a list of strings; absent is empty."""
        value = self.value.get(key, [])
        if not isinstance(value, list) or len(value) > most:
            raise InvalidInput(self.at(key), f"must be a list of at most {most} strings")
        for index, item in enumerate(value):
            if not isinstance(item, str) or len(item) > max_length:
                message = f"must be a string of at most {max_length} characters"
                raise InvalidInput(f"{self.at(key)}[{index}]", message)
        return tuple(value)


def read_objects(value: Any, path: str, *, most: int) -> list[ObjectReader]:
    """Return readers of `value`, a list of at most `most` objects.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, list) or len(value) > most:
        raise InvalidInput(path, f"must be a list of at most {most} objects")
    return [ObjectReader.of(item, f"{path}[{index}]") for index, item in enumerate(value)]
