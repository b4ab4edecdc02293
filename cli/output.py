"""Prints a document in the form that `-o` asks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable


def print_document(document: Any, output: str, render_table: Callable[[Any], str]) -> None:
    """Print a document.

    Args:
        document: what JSON can say; enumerations of text count as their text.
        output: json, yaml or table.
        render_table: makes it text for a person.
    """
    if output == "table":
        print(render_table(document))
        return
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if output == "yaml":
        # By way of JSON, because YAML does not know the enumerations among the values.
        text = yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True).rstrip()
    print(text)
