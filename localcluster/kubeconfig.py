"""The kubeconfig of a local cluster: what is in it, and which files it may take the place of."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import yaml

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

# Of the cluster, the context and the user in it.
NAME = "gamekeeper-local"


def write_kubeconfig(path: Path, server: str, ca_file: Path, token: str) -> None:
    """Write a kubeconfig that only its owner can read.

    Args:
        path: is written over.
        server: URL of the API server.
        ca_file: certificate of its authority.
        token: of whoever uses the file.
    """
    context = {"cluster": NAME, "user": NAME, "namespace": "default"}
    cluster = {"server": server, "certificate-authority": str(ca_file)}
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": cluster}],
        "contexts": [{"name": NAME, "context": context}],
        "users": [{"name": NAME, "user": {"token": token}}],
    }
    path.touch(mode=0o600)
    path.chmod(0o600)  # it may have been there before
    path.write_text(yaml.safe_dump(body, sort_keys=False))


def check_destination(path: Path) -> None:
    """Check that a kubeconfig may be written to a path, before anything is started.

    A person's ~/.kube/config must not be lost to a mistake: only an empty file, or one of a local
    cluster, is written over.

    Raises:
        InvalidInput: the file holds something else, or cannot be written.
    """
    try:
        text = path.read_text() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput("kubeconfig", f"cannot read {path}: {reason}") from error
    if text and not _is_ours(text):
        message = f"{path} holds something else, which would be lost: name a new file"
        raise InvalidInput("kubeconfig", message)
    if not path.absolute().parent.is_dir():
        raise InvalidInput("kubeconfig", f"there is no folder {path.absolute().parent}")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InvalidInput("kubeconfig", f"{path} may not be written")


def _is_ours(text: str) -> bool:
    try:
        body = yaml.safe_load(text)
        return [each["name"] for each in body["clusters"]] == [NAME]
    except (yaml.YAMLError, KeyError, TypeError):
        return False
