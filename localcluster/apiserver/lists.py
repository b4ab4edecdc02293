"""Lists of a collection, whole or in pages. Reads the store, no I/O.

Every page shows the state of the first page's resourceVersion, which the history of the collection
gives back; where that is no longer held, the client is told to list again (410).

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcluster.apiserver.errors import bad_request, too_large_version
from localcluster.apiserver.objects import Object, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcluster.apiserver.requests import ListOptions
    from localcluster.apiserver.resources import Resource
    from localcluster.apiserver.store import ObjectKey, Store, Stored


# Of pods, about 300 KB.
PIECE_ITEMS = 64


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a collection.

    Args:
        items: by namespace and name.
        metadata: metav1.ListMeta.
    """

    items: list[Stored]
    metadata: Object


def list_page(store: Store, resource: Resource, options: ListOptions) -> Page:
    """Return what is selected, at most `limit` objects.

    Raises:
        ApiError: 400 for a `continue` token that this server did not give, 410 for a state that is
            no longer held, 504 for one that is yet to come.
    """
    check_not_future(store, options.version)
    collection = store.collection(resource.collection)
    version, after, objects = store.version, None, collection.objects
    if options.cursor:
        version, after = _read_cursor(options.cursor)
        objects = collection.at(version)
    elif options.exact and options.version is not None:
        version = options.version
        objects = collection.at(version)
    namespace = options.selector.namespace
    keys = [
        key
        for key in objects
        if (namespace is None or key[0] == namespace) and (after is None or key > after)
    ]
    keys.sort()
    matches = options.selector.matches
    selected = [(key, objects[key]) for key in keys if matches(objects[key].object)]
    metadata: Object = {"resourceVersion": str(version)}
    if options.limit and len(selected) > options.limit:
        last = selected[options.limit - 1][0]
        metadata["continue"] = _cursor(version, last)
        # The real server counts only where no selector hides objects from its count.
        if not options.selector.labels and not options.selector.fields:
            metadata["remainingItemCount"] = len(selected) - options.limit
        selected = selected[: options.limit]
    return Page([stored for _, stored in selected], metadata)


def check_not_future(store: Store, version: int | None) -> None:
    """Raise 504 for a version that no write had yet; the real server waits for it for 3 seconds."""
    if version is not None and version > store.version:
        raise too_large_version(version, store.version)


def encode_list(resource: Resource, page: Page) -> bytes:
    """Return a page as a `KindList`, made of the objects' cached JSON."""
    return b"".join(encoded_pieces(resource, page))


def encoded_pieces(resource: Resource, page: Page) -> Iterator[bytes]:
    """Yield a page as a `KindList` in pieces, so that nobody holds the whole of a long one."""
    head = encode(
        {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": page.metadata,
        }
    )
    yield b'%s,"items":[' % head[:-1]
    for start in range(0, len(page.items), PIECE_ITEMS):
        piece = page.items[start : start + PIECE_ITEMS]
        items = b",".join(stored.encoded(resource.api_version) for stored in piece)
        yield items if start == 0 else b"," + items
    yield b"]}"


def _cursor(version: int, last: ObjectKey) -> str:
    text = json.dumps({"rv": version, "after": last})
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(cursor: str) -> tuple[int, ObjectKey]:
    try:
        read = json.loads(base64.urlsafe_b64decode(cursor))
        namespace, name = read["after"]
        return int(read["rv"]), (str(namespace), str(name))
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request("continue key is not valid: list again without it") from error
