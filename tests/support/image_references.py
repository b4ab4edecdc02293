"""Reads image references as container runtimes do. Pure.

Source: https://github.com/distribution/reference (the grammar of a reference).
"""

from __future__ import annotations


def chart_values(reference: str) -> dict[str, str]:
    """Return `repository`, `tag` and `digest` of a reference, as values of the chart.

    A port of the registry is no tag: that begins at the last colon behind the last slash.

    Raises:
        ValueError: there is neither tag nor digest; the chart would take its own version.
    """
    named, _, digest = reference.partition("@")
    folder, slash, last = named.rpartition("/")
    name, _, tag = last.partition(":")
    if not tag and not digest:
        raise ValueError(f"{reference} must have a tag or a digest")
    return {"repository": f"{folder}{slash}{name}", "tag": tag, "digest": digest}
