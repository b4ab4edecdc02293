"""What commands read of a kubeconfig: the namespace and the extensions of one context.

Files are merged as kubectl does it: the first that defines a name wins.
Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_NAMESPACE = "default"
# The local cluster notes there where its status API is; kubectl keeps extensions as they are.
STATUS_EXTENSION = "gamekeeper.dev/status"


@dataclass(frozen=True, slots=True)
class Context:
    """What a context says.

    Attributes:
        name: empty when there is none.
        extensions: of the cluster, by name.
    """

    name: str = ""
    namespace: str = DEFAULT_NAMESPACE
    extensions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def kubeconfig_files(option: Path | None, environment: Mapping[str, str]) -> list[Path]:
    """Return the files to read: the option, else $KUBECONFIG, else ~/.kube/config."""
    if option is not None:
        return [option]
    listed = [Path(each) for each in environment.get("KUBECONFIG", "").split(os.pathsep) if each]
    return listed or [Path(environment.get("HOME", "/")) / ".kube" / "config"]


def read_context(files: Sequence[Path], name: str = "", *, must_exist: bool = False) -> Context:
    """Return a context; an empty one when none is named, neither here nor in a file.

    Args:
        files: in their order.
        name: of the context; empty for the current one.
        must_exist: a missing file is an error, because somebody has named it.

    Raises:
        InvalidInput: a file cannot be read, or there is no such context.
    """
    bodies = [_read(each) for each in files if must_exist or each.exists()]
    current = (str(each["current-context"]) for each in bodies if each.get("current-context"))
    name = name or next(current, "")
    if not name:
        return Context()
    context = _named(bodies, "contexts", "context", name)
    if context is None:
        listed = ", ".join(map(str, files))
        raise InvalidInput("", f"there is no context {name!r} in the kubeconfig {listed}")
    cluster = _named(bodies, "clusters", "cluster", str(context.get("cluster", ""))) or {}
    extensions = {
        str(each.get("name")): each["extension"]
        for each in _dicts(cluster.get("extensions"))
        if isinstance(each.get("extension"), dict)
    }
    return Context(name, str(context.get("namespace") or DEFAULT_NAMESPACE), extensions)


def _read(file: Path) -> dict[str, Any]:
    try:
        body = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no YAML"
        raise InvalidInput("", f"cannot read the kubeconfig {file}: {reason}") from error
    return body if isinstance(body, dict) else {}


def _named(
    bodies: Sequence[dict[str, Any]], plural: str, key: str, name: str
) -> dict[str, Any] | None:
    for body in bodies:
        for entry in _dicts(body.get(plural)):
            if entry.get("name") == name and isinstance(entry.get(key), dict):
                found: dict[str, Any] = entry[key]
                return found
    return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
