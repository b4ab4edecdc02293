"""What `gamekeeper probe` prints for people. Pure."""

from __future__ import annotations

import shlex
from typing import Any

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def render_run(document: dict[str, Any]) -> str:
    """Return one run as lines of a name and a value."""
    outcome = document["outcome"]
    rows = [
        ("QUALITY", f"{document['name']} in container {document['containerName']}"),
        ("PROBE", _probe(document["probe"])),
        ("TARGET", document["target"]),
        ("VERDICT", _verdict(outcome)),
        ("RESULT", repr(outcome["result"]) if outcome["result"] else "(empty)"),
    ]
    if "exitCode" in outcome:
        rows.append(("EXIT CODE", str(outcome["exitCode"])))
    if "durationSeconds" in outcome:
        rows.append(("DURATION", f"{outcome['durationSeconds']:.3f} s"))
    rows += [("STDERR", _visible(line)) for line in outcome["stderr"].split("\n") if line]
    rows += [("NOTE", note) for note in _notes(outcome)]
    rows += [("ACTION", _action(action)) for action in document["actions"]] or [("ACTION", "none")]
    return "\n".join([*_lines(rows), *_threshold(document)])


def _visible(line: str) -> str:
    """Return a line with its control characters written out: a terminal would act on them."""
    return "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in line)


def _notes(outcome: dict[str, Any]) -> list[str]:
    """Return what is often the cause when a result is not the expected one."""
    notes = []
    if "\r" in outcome["stderr"]:
        notes.append("a carriage return: save the script with Unix line ends (sed -i 's/\\r$//')")
    if "\ufffd" in outcome["result"]:
        notes.append("the output is not UTF-8: what cannot be read is shown as \ufffd")
    return notes


def _lines(rows: list[tuple[str, str]]) -> list[str]:
    """Return the rows as lines; a name that repeats is printed once."""
    lines, former = [], ""
    for name, value in rows:
        lines.append(f"{'' if name == former else name:<10} {value}".rstrip())
        former = name
    return lines


def _probe(probe: dict[str, Any]) -> str:
    (handler,) = (name for name in _HANDLERS if name in probe)
    fields = probe[handler]
    if handler == "exec":
        return f"exec {shlex.join(fields['command'])}"
    shown = ", ".join(f"{name} {value}" for name, value in fields.items() if value not in ("", []))
    return f"{handler} {shown}"


def _verdict(outcome: dict[str, Any]) -> str:
    if not outcome["reason"]:
        return str(outcome["status"])
    return f"{outcome['status']} ({outcome['reason']}: {outcome['message']})"


def _action(action: dict[str, Any]) -> str:
    condition = f"state {str(action['state']).lower()}"
    if action["result"]:
        condition += f", result {action['result']!r}"
    head = f"{action['number']}. {condition}:"
    if not action["matches"]:
        return f"{head} no, {action['because']}"
    sets = [f"{field} = {value}" for field, value in action["sets"].items()]
    skips = [f"{field} is skipped ({reason})" for field, reason in action["skips"].items()]
    return f"{head} MATCHES, {'; '.join([*sets, *skips]) or 'sets nothing'}"


def _threshold(document: dict[str, Any]) -> list[str]:
    status, probe = document["outcome"]["status"], document["probe"]
    thresholds = {"True": probe["successThreshold"], "False": probe["failureThreshold"]}
    needed = thresholds.get(status, 1)
    if needed == 1:
        return []
    return ["", f"An agent acts on {status} after {needed} such runs in a row."]
