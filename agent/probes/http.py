"""The httpGet handler: what is asked, which redirects are followed, what a status means. Pure.

Source: pkg/probe/http of Kubernetes and the rules of Go's client below it:
 1. 200 to 399 is a success. Certificates are not checked, no connection is kept, no proxy is used.
 2. 301, 302, 303, 307 and 308 with a Location on the same host name (whatever scheme and port) are
    followed, ten requests in all; to another host they end the probe as a success, with a warning.
 3. `Host` and `User-Agent` can be set; an empty `Accept` is not sent at all. A Host that was set
    goes along with a redirect only if its Location has no host of its own.
 4. Ten KiB of the body are read.
What is different: HTTP/1.1 only, also with TLS; the body is the result for every status (SPEC 2.3);
a response that breaks off is False, where kubelet would look away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.probes.conversation import Finding, Target, Turn
from agent.probes.http_response import BrokenResponseError, ResponseReader
from agent.version import AGENT_VERSION
from shared.protocol.report import Status

if TYPE_CHECKING:
    from agent.probes.conversation import Conversation
    from shared.protocol.probes import HTTPGetAction

# Servers that treat probes apart look for its beginning.
USER_AGENT = f"kube-probe/1.36 (gamekeeper-agent/{AGENT_VERSION})"
_MAX_REQUESTS = 10
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 9110, 5.6.2 (token) and 5.5 (field value, without the obsolete bytes).
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
# What may stand in a request target as it is; a percent sign is taken for an escape.
_PLAIN = frozenset(b"!#$%&'()*+,-./:;=?@[]_~" + b"0123456789abcdefghijklmnopqrstuvwxyz"
                   + b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")  # fmt: skip
# Go's client writes these itself and drops what a caller says of them.
_NOT_OURS = frozenset({"host", "content-length", "transfer-encoding", "trailer", "connection"})


@dataclass(frozen=True, slots=True)
class _Request:
    """One GET of a probe.

    Attributes:
        headers: as configured, Host left out.
        host_header: the configured Host; empty: the target.
        number: counts the requests of one run from 1.
        first_host: host name of the first one, which redirects may not leave.
    """

    target: Target
    path: str
    headers: tuple[tuple[str, str], ...]
    host_header: str
    number: int
    first_host: str


def begin_http_get(action: HTTPGetAction, pod_host: str) -> Conversation | Finding:
    """Return the conversation of an httpGet probe; a finding when it cannot be held."""
    for header in action.http_headers:
        if not _HEADER_NAME.fullmatch(header.name) or not _HEADER_VALUE.fullmatch(header.value):
            message = f"httpHeaders: {header.name[:40]!r} cannot be sent: no line breaks, no spaces"
            return Finding(Status.UNKNOWN, "", "InvalidHeader", f"{message} in a name")
    host = action.host.strip("[]") or pod_host
    hosts = [header.value for header in action.http_headers if header.name.lower() == "host"]
    request = _Request(
        target=Target(host, action.port, tls=action.scheme == "HTTPS"),
        path=_escape(action.path.partition("#")[0]),
        headers=tuple(
            (header.name, header.value)
            for header in action.http_headers
            if header.name.lower() not in _NOT_OURS
        ),
        host_header=hosts[0] if hosts else "",
        number=1,
        first_host=host.lower(),
    )
    return _HTTPGet(request)


class _HTTPGet:
    """One request and its response."""

    def __init__(self, request: _Request) -> None:
        self.target = request.target
        self._request = request
        self._response = ResponseReader()

    def opened(self) -> Turn:
        """Send the request."""
        return Turn(send=_render(self._request))

    def heard(self, data: bytes) -> Turn:
        """Read the response; at its end, judge it."""
        try:
            self._response.feed(data)
        except BrokenResponseError as error:
            message = f"{self.target.authority}: {error}: check that it speaks HTTP/1.1"
            return Turn(end=Finding(Status.FALSE, "", "BrokenResponse", message))
        if not self._response.is_done:
            return Turn()
        return Turn(end=self._judge())

    def _judge(self) -> Finding | _HTTPGet:
        status, location = self._response.status, self._response.headers.get("location", "")
        text = self._response.body.decode(errors="replace")
        if status in _FOLLOWED and location:
            return self._redirect(location, text)
        if 200 <= status < 400:
            return Finding(Status.TRUE, text)
        return Finding(Status.FALSE, text, "HTTPStatus", f"the server answered {status}")

    def _redirect(self, location: str, text: str) -> Finding | _HTTPGet:
        following = _follow(self._request, location)
        if isinstance(following, Finding):
            return following
        if following.first_host != following.target.host.lower():
            message = f"redirected to {following.target.authority}, which is not followed"
            return Finding(Status.TRUE, text, "RedirectNotFollowed", message)
        if following.number > _MAX_REQUESTS:
            message = f"stopped after {_MAX_REQUESTS} redirects: let the path answer by itself"
            return Finding(Status.FALSE, text, "TooManyRedirects", message)
        return _HTTPGet(following)


def _follow(request: _Request, location: str) -> _Request | Finding:
    """Return the request that a Location asks for."""
    # Loaded by the first redirect: half a MiB that most probes never need.
    from urllib.parse import urljoin, urlsplit

    scheme = "https" if request.target.tls else "http"
    try:
        url = urlsplit(urljoin(f"{scheme}://{request.target.authority}{request.path}", location))
        port = url.port or _DEFAULT_PORTS.get(url.scheme, 0)
        is_relative = not urlsplit(location).netloc
    except ValueError:
        port = 0
    if not port or not url.hostname:
        message = f"the redirect to {location[:80]!r} leads nowhere: check the Location"
        return Finding(Status.FALSE, "", "BrokenResponse", message)
    path = url.path + (f"?{url.query}" if url.query else "")
    return _Request(
        target=Target(url.hostname, port, tls=url.scheme == "https"),
        path=_escape(path),
        headers=request.headers,
        host_header=request.host_header if is_relative else "",
        number=request.number + 1,
        first_host=request.first_host,
    )


def _render(request: _Request) -> bytes:
    host = request.host_header or request.target.authority
    lines = [f"GET {request.path} HTTP/1.1", f"Host: {host}"]
    names = {name.lower() for name, _ in request.headers}
    if "user-agent" not in names:
        lines.append(f"User-Agent: {USER_AGENT}")
    if "accept" not in names:
        lines.append("Accept: */*")
    lines += [f"{name}: {value}" for name, value in request.headers if not _is_dropped(name, value)]
    lines += ["Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def _is_dropped(name: str, value: str) -> bool:
    """Tell whether an empty value means "do not send": so it is with these two in Go's client."""
    return name.lower() in ("accept", "user-agent") and not value


def _escape(path: str) -> str:
    """Return a request target: beginning with a slash, nothing in it that could end the line."""
    rooted = path if path.startswith("/") else f"/{path}"
    return "".join(chr(b) if b in _PLAIN else f"%{b:02X}" for b in rooted.encode())
