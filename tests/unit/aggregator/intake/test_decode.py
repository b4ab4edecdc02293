"""The wire form of a report."""

import json
from pathlib import Path
from typing import Any

import pytest

from aggregator.intake.decode import decode_report
from shared.errors import InvalidInput
from shared.protocol.report import Report
from shared.protocol.wire import render

GOLDEN = Path(__file__).parents[3] / "data" / "report-v1.json"


def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_bytes())


def test_the_golden_report_decodes_and_renders_back_identically() -> None:
    report = decode_report(GOLDEN.read_bytes())
    assert isinstance(report, Report)
    assert render(report) == golden()


def with_probe(**fields: Any) -> dict[str, Any]:
    report = golden()
    report["probes"][1] |= fields
    return report


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"", "", id="empty"),
        pytest.param(b"{", "", id="cut off"),
        pytest.param(b"\xff\xfe", "", id="no UTF-8"),
        pytest.param(b"[]", "", id="a list"),
        pytest.param(b"null", "", id="null"),
        pytest.param(b"[" * 60_000, "", id="nested without end"),
        pytest.param(golden() | {"epoch": "1"}, "epoch", id="a number as text"),
        pytest.param(golden() | {"epoch": True}, "epoch", id="a bool as number"),
        pytest.param(golden() | {"sequence": 1.5}, "sequence", id="half a sequence"),
        pytest.param(golden() | {"sentAt": 1780000000}, "sentAt", id="a time as number"),
        pytest.param(golden() | {"sentAt": "yesterday"}, "sentAt", id="no time"),
        pytest.param(golden() | {"extra": 1}, "extra", id="an unknown field"),
        pytest.param(golden() | {"pod_uid": "u"}, "pod_uid", id="Python's spelling"),
        pytest.param(golden() | {"probes": {}}, "probes", id="an object for a list"),
        pytest.param(with_probe(status="true"), "probes[1].status", id="another status"),
        pytest.param(with_probe(exitCode="0"), "probes[1].exitCode", id="an exit code as text"),
        pytest.param(with_probe(result=None), "probes[1].result", id="null for a text"),
        pytest.param(with_probe(secret=1), "probes[1].secret", id="an unknown field of a probe"),
        pytest.param(
            {key: value for key, value in golden().items() if key != "podUid"},
            "podUid",
            id="a field is missing",
        ),
        pytest.param(
            json.dumps(with_probe(result="\ud800")).encode(), "", id="half a surrogate pair"
        ),
    ],
)
def test_a_malformed_report_is_refused_with_the_path_of_its_field(body, field: str) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidInput) as refused:
        decode_report(text)
    assert refused.value.field == field
    assert "\n" not in refused.value.message
