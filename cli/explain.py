"""`gamekeeper explain` and `gamekeeper status`: what the aggregator knows, and why it did it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import yaml

from cli.explain_autoscaler import render_autoscaler
from cli.explain_text import render_server, render_set, render_sets
from cli.status_api import NotThere, StatusOptions, ask, find_status_api

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.status_api import StatusApi

# By the names that kubectl knows: the path in the API, and how the answer is shown.
_KINDS: dict[str, tuple[str, Callable[[Any], str]]] = (
    dict.fromkeys(("gs", "gameserver", "gameservers"), ("gameservers", render_server))
    | dict.fromkeys(("gss", "gameserverset", "gameserversets"), ("gameserversets", render_set))
    | dict.fromkeys(
        ("gssa", "gameserversetautoscaler", "gameserversetautoscalers"),
        ("autoscalers", render_autoscaler),
    )
)


def run_explain(kind: str, name: str, output: str, options: StatusOptions) -> int:
    """Print everything about one server, set or autoscaler; return 1 when it does not exist.

    Raises:
        AppError: the status API cannot be asked.
    """
    api = find_status_api(options, os.environ)
    plural, render = _KINDS[kind]
    path = f"/v1/{plural}/{quote(api.namespace, safe='')}/{quote(name, safe='')}"
    try:
        body = ask(api, path)
    except NotThere as error:
        print(f"gamekeeper explain: {error.message}", file=sys.stderr)
        return 1
    _print(body, output, render)
    return 0


def run_status(output: str, options: StatusOptions, *, everywhere: bool) -> int:
    """Print all sets of a namespace, or of all.

    Raises:
        AppError: the status API cannot be asked.
    """
    api = find_status_api(options, os.environ)
    items = _all_items(api, "/v1/gameserversets", "" if everywhere else api.namespace)
    _print(items, output, render_sets)
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


def _print(body: Any, output: str, render: Callable[[Any], str]) -> None:
    if output == "json":
        print(json.dumps(body, indent=2, ensure_ascii=False))
    elif output == "yaml":
        print(yaml.safe_dump(body, sort_keys=False, allow_unicode=True).rstrip())
    else:
        print(render(body))
