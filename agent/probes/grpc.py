"""The grpc handler: grpc.health.v1.Health/Check over plaintext HTTP/2. Pure; http2.py has the wire.

Source: https://github.com/grpc/grpc/blob/master/doc/health-checking.md and PROTOCOL-HTTP2.md beside
it; pkg/probe/grpc of Kubernetes for what is a failure: everything but SERVING. The result is the
name of the serving status (SPEC 2.3), empty when the server named none.
"""

from __future__ import annotations

from agent.probes.conversation import Finding, Target, Turn
from agent.probes.http import USER_AGENT
from agent.probes.http2 import CallError, UnaryCall
from shared.protocol.report import Status

_PATH = "/grpc.health.v1.Health/Check"
_SERVING_STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_SERVING = 1
# google/rpc/code.proto
_CODES = (  # noqa: SIM905 - a word a line would bury the rest
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS"
    " PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED"
    " INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED"
).split()
_REMEDIES = {
    "UNIMPLEMENTED": "register the service grpc.health.v1.Health in the server",
    "NOT_FOUND": "the server's health service does not know grpc.service: check the name",
}
_MAX_VARINT_BYTES = 10
_MAX_MESSAGE_CHARACTERS = 120


class HealthCheck:
    """One call of the health service.

    Args:
        target: where the server listens.
        service: whose health; empty: the whole server's.
        timeout_seconds: told to the server, which may give up by itself.
    """

    def __init__(self, target: Target, service: str, timeout_seconds: float) -> None:
        self.target = target
        name = service.encode()
        request = b"\x0a" + _varint(len(name)) + name if name else b""
        fields = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", _PATH),
            (":authority", target.authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", USER_AGENT),
            ("grpc-timeout", f"{int(timeout_seconds * 1000)}m"),
        )
        self._call = UnaryCall(fields, b"\0" + len(request).to_bytes(4, "big") + request)

    def opened(self) -> Turn:
        """Send the call."""
        return Turn(send=self._call.open())

    def heard(self, data: bytes) -> Turn:
        """Read on; at the end of the answer, judge it."""
        try:
            reply = self._call.feed(data)
            if not self._call.is_done:
                return Turn(send=reply)
            return Turn(reply, self._judge())
        except CallError as error:
            message = (
                f"{self.target.authority}: {error}: check that grpc.port serves plaintext gRPC"
            )
            return Turn(end=Finding(Status.FALSE, "", "RPCFailed", message))

    def _judge(self) -> Finding:
        headers = self._call.headers
        http_status, code = headers.get(":status", ""), headers.get("grpc-status", "")
        if http_status != "200":
            raise CallError(f"the server answered HTTP {http_status or 'without a status'}")
        if not code.isdecimal():
            raise CallError("the server answered without grpc-status")
        if code != "0":
            return _failed(code, headers.get("grpc-message", ""))
        status = _serving_status(self._call.body)
        name = _SERVING_STATUS[status] if status < len(_SERVING_STATUS) else str(status)
        if status == _SERVING:
            return Finding(Status.TRUE, name)
        return Finding(Status.FALSE, name, "NotServing", f"the health service answered {name}")


def _failed(code: str, message: str) -> Finding:
    number = int(code[:4])
    name = _CODES[number] if number < len(_CODES) else f"code {number}"
    said = _unescape(message)[:_MAX_MESSAGE_CHARACTERS]
    advice = _REMEDIES.get(name, "see the server's log")
    return Finding(Status.FALSE, "", "RPCFailed", f"{name} ({said}): {advice}")


def _serving_status(body: bytes) -> int:
    """Return the field `status` (1, an enum) of a HealthCheckResponse in its gRPC envelope."""
    if len(body) < 5 or len(body) - 5 != int.from_bytes(body[1:5], "big"):
        raise CallError("the answer is no gRPC message")
    if body[0]:
        raise CallError("the answer is compressed, which was not asked for")
    message, position, status = body[5:], 0, 0
    while position < len(message):
        key, position = _read_varint(message, position)
        match key & 7:
            case 0:
                value, position = _read_varint(message, position)
                status = value if key >> 3 == 1 else status
            case 1:
                position += 8
            case 2:
                length, position = _read_varint(message, position)
                position += length
            case 5:
                position += 4
            case _:
                raise CallError("the answer is no HealthCheckResponse")
    return status


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = 0
    for offset, byte in enumerate(message[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * offset
        if not byte & 0x80:
            return value, position + offset + 1
    raise CallError("the answer is no HealthCheckResponse")


def _varint(value: int) -> bytes:
    encoded = b""
    while value >= 0x80:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def _unescape(text: str) -> str:
    """Return a grpc-message as it was before its percent-encoding."""
    head, *parts = text.split("%")
    raw = head.encode("latin-1")
    for part in parts:
        try:
            raw += bytes([int(part[:2], 16)]) + part[2:].encode("latin-1")
        except ValueError:
            raw += b"%" + part.encode("latin-1")  # left as it is, as the specification asks
    return " ".join(raw.decode(errors="replace").split())
