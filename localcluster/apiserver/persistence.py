"""State kept between runs: `--data FILE`. The only part of the server that writes a file.

The file holds every object, the newest version and the key of service-account tokens, as one JSON
document that replaces the old one in a single step: a crash leaves the file of some seconds ago,
never half of one. Watches do not survive: a client that comes back with a version of the last run
gets 410 and lists again.
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from localcluster.apiserver.builtin import DEFINITIONS
from localcluster.apiserver.objects import Object, encode
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from localcluster.apiserver.store import CollectionKey, Store

# A crash loses at most this; writing more often costs more than it saves.
SAVE_SECONDS = 3.0
_FORMAT = 1


class _Item(msgspec.Struct):
    group: str
    plural: str
    object: Object


class _Document(msgspec.Struct):
    format: int
    version: int
    key: str
    items: list[_Item]


@dataclass(frozen=True, slots=True)
class Saved:
    """The state that a run begins with.

    Args:
        version: the newest resourceVersion.
        key: signs service-account tokens.
        objects: with their collections, owners before what they own.
    """

    version: int
    key: bytes
    objects: tuple[tuple[CollectionKey, Object], ...]


def read_saved(path: Path) -> Saved | None:
    """Return what a file holds; None when there is no such file yet.

    Raises:
        InvalidInput: it cannot be read, or is of something else.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
        key = base64.b64decode(document.key, validate=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput("--data", f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:
        why = f"{path} holds no state of this server ({error}); remove it to begin with none"
        raise InvalidInput("--data", why) from error
    if document.format != _FORMAT:
        why = f"{path} is of format {document.format}, not {_FORMAT}; remove it to begin with none"
        raise InvalidInput("--data", why)
    objects = [((item.group, item.plural), item.object) for item in document.items]
    return Saved(document.version, key, tuple(_in_order(objects)))


def restore(store: Store, saved: Saved) -> None:
    """Put the saved objects into an empty store, under the versions that they had."""
    for collection, obj in saved.objects:
        metadata = obj["metadata"]
        store.restore(collection, (metadata.get("namespace", ""), metadata["name"]), obj)


def encoded(store: Store, key: bytes) -> list[bytes]:
    """Return the document of this moment, in pieces that no later write changes."""
    head = {"format": _FORMAT, "version": store.version, "key": base64.b64encode(key).decode()}
    pieces = [encode(head)[:-1], b',"items":[']
    for number, (collection, _, stored) in enumerate(store.everything()):
        names = encode({"group": collection[0], "plural": collection[1]})[:-1]
        comma = b",\n" if number else b"\n"
        own = stored.encoded(stored.object["apiVersion"])
        pieces += (comma, names, b',"object":', own, b"}")
    return [*pieces, b"]}\n"]


class Saver:
    """Writes the state of a store whenever it has changed.

    Args:
        path: the file.
        store: whose state it is.
        key: signs service-account tokens.
    """

    def __init__(self, path: Path, store: Store, key: bytes) -> None:
        self._path = path
        self._store = store
        self._key = key
        self._saved: int | None = None

    async def run(self) -> None:
        """Save every few seconds, until cancelled.

        Raises:
            OSError: the file cannot be written.
        """
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if self._saved != self._store.version:
                version, pieces = self._store.version, encoded(self._store, self._key)
                await asyncio.to_thread(_replace, self._path, pieces)
                self._saved = version

    def save(self) -> None:
        """Save now, unless nothing has changed since.

        Raises:
            OSError: the file cannot be written.
        """
        if self._saved != self._store.version:
            _replace(self._path, encoded(self._store, self._key))
            self._saved = self._store.version


def _replace(path: Path, pieces: list[bytes]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    # The file holds secrets: it is for its owner alone from the start.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _in_order(objects: list[tuple[CollectionKey, Object]]) -> list[tuple[CollectionKey, Object]]:
    """Return definitions first, and owners before dependents.

    The controllers see the objects in this order: a kind has to be served before its objects come,
    and the garbage collector takes an owner that it has not seen for one that is gone.
    """
    left = sorted(objects, key=lambda item: item[0] != DEFINITIONS)
    uids = {obj["metadata"]["uid"] for _, obj in left}
    placed: list[tuple[CollectionKey, Object]] = []
    seen: set[str] = set()
    while left:
        ready = [item for item in left if _owners(item[1]) & uids <= seen]
        # Owners that own each other have no order; the collector copes with that as with any loop.
        for item in ready or left:
            placed.append(item)
            seen.add(item[1]["metadata"]["uid"])
        left = [item for item in left if item[1]["metadata"]["uid"] not in seen]
    return placed


def _owners(obj: Object) -> set[str]:
    return {reference["uid"] for reference in obj["metadata"].get("ownerReferences") or ()}
