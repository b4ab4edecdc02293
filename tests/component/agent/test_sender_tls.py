"""The sender and TLS: whom it trusts, what it takes for whole, and who never sees a token."""

from __future__ import annotations

import json
import os
import ssl
from typing import TYPE_CHECKING

import pytest

from agent.outbox import Accepted, Failed
from tests.support.raw_server import RawServer, raw_server, tls_of
from tests.support.report_server import write_certificate
from tests.support.sending import ANSWER, OK, answering, cutting, http, sending

if TYPE_CHECKING:
    import socket
    from pathlib import Path

pytestmark = [pytest.mark.component, pytest.mark.timeout(40)]


def test_a_tls_connection_cut_at_any_byte_of_the_answer_is_a_failure(
    token: Path, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path)
    good = http(200, ANSWER, "Connection: close")

    def serve(server: RawServer, channel: socket.socket) -> None:
        """Cut the answer of every second connection, one byte later each time."""
        assert server.read_request(channel)
        offset, is_good = divmod(len(server.requests) - 1, 2)
        channel.sendall(good if is_good else good[:offset])

    with (
        raw_server(serve, tls_of(certificate, key)) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=certificate) as reports,
    ):
        seen = {offset: tuple(reports.events(2)) for offset in range(len(good))}
    assert seen == dict.fromkeys(range(len(good)), (Failed(), Accepted(10)))


def test_an_answer_without_a_length_that_tls_did_not_end_is_not_taken_for_whole(
    token: Path, tmp_path: Path
) -> None:
    certificate, key = write_certificate(tmp_path)
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(ANSWER).encode()
    with (
        raw_server(cutting(endless, len(endless), 0), tls_of(certificate, key)) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=certificate) as reports,
    ):
        assert [type(event) for event in reports.events(2)] == [Failed, Accepted]


def test_a_server_that_does_not_finish_the_tls_handshake_costs_one_deadline(
    token: Path, tmp_path: Path
) -> None:
    certificate, _ = write_certificate(tmp_path)

    def stall(server: RawServer, channel: socket.socket) -> None:
        server.released.wait(20)

    with (
        raw_server(stall) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=certificate) as reports,
    ):
        assert "timed out" in reports.send(timeout=0.3).error


def test_a_rotated_ca_is_trusted_at_once_and_one_that_was_taken_out_no_more(
    token: Path, tmp_path: Path
) -> None:
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    (old, old_key), (new, new_key) = (write_certificate(folder) for folder in folders)
    bundle = tmp_path / "bundle"

    def replace_bundle(content: bytes) -> None:
        """As kubelet does it: another file takes the name."""
        (tmp_path / "next").write_bytes(content)
        os.replace(tmp_path / "next", bundle)

    replace_bundle(old.read_bytes())
    closing = http(200, ANSWER, "Connection: close")
    with (
        raw_server(answering(closing), tls_of(old, old_key)) as server,
        sending(token, f"https://127.0.0.1:{server.port}", ca_file=bundle) as reports,
    ):
        seen = [reports.send().event]
        replace_bundle(old.read_bytes() + new.read_bytes())
        server.tls = tls_of(new, new_key)
        seen.append(reports.send().event)
        replace_bundle(b"nothing of use")
        seen.append(reports.send().event)
        bundle.unlink()
        seen.append(reports.send().event)
        replace_bundle(new.read_bytes())
        server.tls = tls_of(old, old_key)
        refused = reports.send()
        server.tls = tls_of(new, new_key)
        seen.append(reports.send().event)
    assert seen == [Accepted(10)] * 5
    assert (refused.event, server.handshake_failures) == (Failed(), 1)
    assert "certificate verify failed" in refused.error
    assert len(server.requests) == 5  # the refused server saw no report and no token


def test_a_certificate_for_another_name_gets_no_token(token: Path, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with (
        raw_server(answering(OK), tls_of(certificate, key)) as server,
        sending(token, f"https://localhost:{server.port}", ca_file=certificate) as reports,
    ):
        delivery = reports.send()
    assert (delivery.event, server.requests) == (Failed(), [])
    assert "Hostname mismatch" in delivery.error


def test_a_ca_file_without_certificates_is_an_error_at_the_start(
    token: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    with (
        pytest.raises(ssl.SSLError),
        sending(token, "https://127.0.0.1:1", ca_file=tmp_path / "empty"),
    ):
        pass
