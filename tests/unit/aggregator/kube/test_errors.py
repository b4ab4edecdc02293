"""HTTP failures become errors by what the caller does about them."""

import json

import pytest

from aggregator.kube.errors import (
    AlreadyExists,
    Cause,
    Conflict,
    Expired,
    FailedRequest,
    NotFound,
    Rejected,
    TestFailed,
    Throttled,
    Unavailable,
    error_from,
)


def status(reason: str, message: str = "because", **details: object) -> bytes:
    return json.dumps(
        {"kind": "Status", "reason": reason, "message": message, "details": details or None}
    ).encode()


FIELDS = {"causes": [{"field": "spec.replicas", "message": "must be >= 0"}]}


@pytest.mark.parametrize(
    ("failed", "kind", "facts"),
    [
        pytest.param(FailedRequest(404, status("NotFound")), NotFound, {}, id="404"),
        pytest.param(FailedRequest(409, status("Conflict")), Conflict, {}, id="409"),
        pytest.param(
            FailedRequest(409, status("AlreadyExists")), AlreadyExists, {}, id="409 exists"
        ),
        pytest.param(FailedRequest(410, status("Expired")), Expired, {}, id="410"),
        pytest.param(
            FailedRequest(429, status("TooManyRequests"), retry_after="7"),
            Throttled,
            {"retry_after_seconds": 7.0},
            id="429 with the header",
        ),
        pytest.param(
            FailedRequest(429, status("TooManyRequests", retryAfterSeconds=3)),
            Throttled,
            {"retry_after_seconds": 3.0},
            id="429 with details",
        ),
        pytest.param(
            FailedRequest(422, status("Invalid", **FIELDS)),
            Rejected,
            {"code": 422, "causes": (Cause("spec.replicas", "must be >= 0"),)},
            id="422 names fields",
        ),
        pytest.param(
            FailedRequest(422, status("Invalid"), has_tests=True),
            TestFailed,
            {"reason": "TestFailed"},
            id="422 of a patch with tests",
        ),
        pytest.param(
            FailedRequest(
                422, status("Invalid", causes=[{"message": "testing value"}]), has_tests=True
            ),
            TestFailed,
            {"reason": "TestFailed"},
            id="422 of a patch with tests, with a cause that names no field",
        ),
        pytest.param(
            FailedRequest(422, status("Invalid", **FIELDS), has_tests=True),
            Rejected,
            {"code": 422},
            id="422 of a patch whose tests held",
        ),
        pytest.param(
            FailedRequest(403, status("Forbidden")), Rejected, {"reason": "Forbidden"}, id="403"
        ),
        pytest.param(
            FailedRequest(401, status("Unauthorized"), is_write=True),
            Unavailable,
            {"outcome_unknown": False},
            id="401 did nothing",
        ),
        pytest.param(
            FailedRequest(503, b"<html>upstream\n down</html>", is_write=True),
            Unavailable,
            {
                "reason": "Http503",
                "message": "<html>upstream down</html>",
                "outcome_unknown": True,
            },
            id="503 of a proxy after a write",
        ),
        pytest.param(
            FailedRequest(500, b"\xff\xfe"),
            Unavailable,
            {"outcome_unknown": False},
            id="500 of a read in no encoding",
        ),
        pytest.param(
            FailedRequest(429, b"", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
            Throttled,
            {"retry_after_seconds": None},
            id="Retry-After as a date",
        ),
    ],
)
def test_a_failure_is_what_the_caller_does_about_it(failed, kind, facts) -> None:
    error = error_from(failed)
    assert type(error) is kind
    assert {name: getattr(error, name) for name in facts} == facts


def test_a_message_of_any_length_is_cut_to_256_characters() -> None:
    error = error_from(FailedRequest(400, status("BadRequest", "x" * 10_000)))
    assert error.message == "x" * 255 + "…"
