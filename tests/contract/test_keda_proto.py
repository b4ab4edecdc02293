"""The generated messages are those of the proto file, with the numbers that KEDA uses."""

import shutil
from pathlib import Path

import pytest
from grpc_tools import protoc

from aggregator.keda.pb import externalscaler_pb2 as pb

ROOT = Path(__file__).parents[2]
PROTO = Path("aggregator/keda/pb/externalscaler.proto")


def test_the_generated_files_are_current(tmp_path):
    source = tmp_path / PROTO
    source.parent.mkdir(parents=True)
    shutil.copy(ROOT / PROTO, source)
    arguments = ["protoc", f"--proto_path={tmp_path}", f"--python_out={tmp_path}"]
    assert protoc.main([*arguments, f"--pyi_out={tmp_path}", str(source)]) == 0
    for name in ("externalscaler_pb2.py", "externalscaler_pb2.pyi"):
        fresh = (source.parent / name).read_text()
        assert (ROOT / PROTO.parent / name).read_text() == fresh, "run `make proto`"


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        pytest.param(
            pb.ScaledObjectRef(name="a", namespace="b", scalerMetadata={"c": "d"}),
            b"\n\x01a\x12\x01b\x1a\x06\n\x01c\x12\x01d",
            id="a reference",
        ),
        pytest.param(pb.IsActiveResponse(result=True), b"\x08\x01", id="active"),
        pytest.param(
            pb.MetricValue(metricName="m", metricValue=3, metricValueFloat=3),
            b"\n\x01m\x10\x03\x19\x00\x00\x00\x00\x00\x00\x08@",
            id="a value",
        ),
        pytest.param(
            pb.MetricSpec(metricName="m", targetSize=1, targetSizeFloat=1),
            b"\n\x01m\x10\x01\x19\x00\x00\x00\x00\x00\x00\xf0?",
            id="a spec",
        ),
    ],
)
def test_a_message_has_the_bytes_that_keda_reads(message, encoded):
    assert message.SerializeToString() == encoded
