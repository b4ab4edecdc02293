"""Finds the status API of an aggregator and asks it.

Where it is: `--server`, else $GAMEKEEPER_STATUS_URL, else what the local cluster has noted in the
kubeconfig. NB: not the API server's service proxy: it takes the Authorization header off, so the
aggregator could not know who asks. On a cluster the way is a port that kubectl forwards, with a
token of one's own.
Source: https://kubernetes.io/docs/tasks/access-application-cluster/port-forward-access-application-cluster/
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import aiohttp

from cli.kubeconfig import STATUS_EXTENSION, kubeconfig_files, read_context
from shared.errors import InvalidInput, TerminalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT_SECONDS = 20.0
_TLS_REMEDY = "give its certificate authority with --ca-file"
_HOW = (
    "the kubeconfig {files} tells of no status API, as that of a local cluster does; on a cluster "
    "type `kubectl -n gamekeeper-system port-forward service/gamekeeper-status 8081:443` in "
    "another terminal and add --server https://localhost:8081 --token-file FILE --ca-file FILE, "
    "with a token that may get gameservers, and ca.crt of the ConfigMap gamekeeper-ca"
)


class NotThere(TerminalError):  # noqa: N818 - an answer, not a failure
    """The API answers that there is no such object."""


@dataclass(frozen=True, slots=True)
class StatusOptions:
    """The command line, as far as it says where to ask.

    Attributes:
        context: of the kubeconfig; None for the current one.
        namespace: None for that of the context.
    """

    server: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class StatusApi:
    """Where the API is, and how to ask.

    Attributes:
        url: without a slash at its end.
        token: empty for none.
        context: whose certificates are trusted; True for those of the system.
        namespace: to look in when the user names none.
    """

    url: str
    token: str
    context: ssl.SSLContext | Literal[True]
    namespace: str

    async def get(self, path: str) -> Any:
        """Return the JSON under `path`.

        Raises:
            NotThere: there is no such object.
            TerminalError: there is no proper answer; says what to do.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                session.get(self.url + path, ssl=self.context, allow_redirects=False) as response,
            ):
                return _checked(response.status, await response.read(), self.url)
        except aiohttp.ClientConnectorCertificateError as error:
            message = f"{self.url} has a certificate that nobody here trusts: {_TLS_REMEDY}"
            raise TerminalError("NotTrusted", message) from error
        except aiohttp.ClientError as error:
            message = f"cannot ask {self.url}: {_reason_of(error)}"
            raise TerminalError("NoStatusApi", message) from error
        except TimeoutError as error:
            message = f"{self.url} does not answer within {_TIMEOUT_SECONDS:g} s"
            raise TerminalError("NoStatusApi", message) from error


def find_status_api(options: StatusOptions, environment: Mapping[str, str]) -> StatusApi:
    """Return where to ask.

    Raises:
        InvalidInput: nobody says where it is, or a file cannot be read.
    """
    files = kubeconfig_files(options.kubeconfig, environment)
    context = read_context(files, options.context or "", must_exist=options.kubeconfig is not None)
    noted = context.extensions.get(STATUS_EXTENSION, {}).get("url")
    url = options.server or environment.get("GAMEKEEPER_STATUS_URL") or noted
    if not url:
        raise InvalidInput("", _HOW.format(files=", ".join(map(str, files))))
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidInput("--server", f"{url!r} must begin with https:// or http:// and a host")
    token = _read_token(options.token_file) if options.token_file is not None else ""
    if token and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise InvalidInput("--server", "must begin with https://: a token does not travel in clear")
    trusted: ssl.SSLContext | Literal[True] = True
    if options.ca_file is not None:
        trusted = _read_authority(options.ca_file)
    return StatusApi(str(url).rstrip("/"), token, trusted, options.namespace or context.namespace)


def ask(api: StatusApi, path: str) -> Any:
    """Return the JSON under `path`; see `StatusApi.get`."""
    return asyncio.run(api.get(path))


def _reason_of(error: aiohttp.ClientError) -> str:
    """Return what the system says, where it does: libraries name the address again, and more."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return str(error) or type(error).__name__
    number = error.os_error.errno
    # Numbers of the resolver are negative, and have their text with them.
    if number is not None and number > 0:
        return os.strerror(number)
    return error.os_error.strerror or str(error.os_error)


def _read_token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput("--token-file", f"cannot read {file}: {reason}") from error


def _read_authority(file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(file))
    except OSError as error:
        # An ssl.SSLError is one too: then the file is there, and holds no certificate.
        reason = "it is no PEM file" if isinstance(error, ssl.SSLError) else error.strerror
        raise InvalidInput("--ca-file", f"cannot read {file}: {reason}") from error


def _checked(status: int, body: bytes, url: str) -> Any:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        message = f"{url} answers {status} without JSON: is it the status API of Gamekeeper?"
        raise TerminalError("NoStatusApi", message) from error
    if status == 200:
        return answer
    told = answer.get("message") if isinstance(answer, dict) else None
    message = str(told or f"{url} answers {status}")
    if status == 404 and isinstance(answer, dict) and answer.get("reason") == "NotFound" and told:
        raise NotThere("NotFound", message)
    if status == 401:
        message += "; give a token with --token-file"
    raise TerminalError("Refused", message)
