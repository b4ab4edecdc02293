"""`gamekeeper explain` and `gamekeeper status`: what the aggregator knows, and why it did it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from cli.explain_autoscaler import render_autoscaler
from cli.explain_text import render_server, render_set, render_sets
from cli.kinds import AUTOSCALERS, KINDS, SERVERS, SETS
from cli.output import print_document
from cli.status_api import NotThere, StatusOptions, ask, find_status_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.status_api import StatusApi

_TABLES: dict[str, Callable[[Any], str]] = {
    SERVERS: render_server,
    SETS: render_set,
    AUTOSCALERS: render_autoscaler,
}


def run_explain(kind: str, name: str, output: str, options: StatusOptions) -> int:
    """Print everything about one server, set or autoscaler; return 1 when it does not exist.

    Raises:
        AppError: the status API cannot be asked.
    """
    api = find_status_api(options, os.environ)
    plural = KINDS[kind]
    path = f"/v1/{plural}/{quote(api.namespace, safe='')}/{quote(name, safe='')}"
    try:
        body = ask(api, path)
    except NotThere as error:
        print(f"gamekeeper explain: {error.message}", file=sys.stderr)
        return 1
    print_document(body, output, _TABLES[plural])
    return 0


def run_status(output: str, options: StatusOptions, *, everywhere: bool) -> int:
    """Print all sets of a namespace, or of all.

    Raises:
        AppError: the status API cannot be asked.
    """
    api = find_status_api(options, os.environ)
    items = _all_items(api, f"/v1/{SETS}", "" if everywhere else api.namespace)
    if output == "table" and not items:
        where = "any namespace" if everywhere else f"namespace {api.namespace}"
        print(f"there is no GameServerSet in {where}", file=sys.stderr)
        return 0
    print_document(items, output, render_sets)
    return 0


def _all_items(api: StatusApi, path: str, namespace: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    query = {"namespace": namespace} if namespace else {}
    while True:
        page = ask(api, f"{path}?{urlencode(query)}")
        items += page["items"]
        if "continue" not in page:
            return items
        query["continue"] = page["continue"]
