"""Anchors reach syslog, the webhook and a time-stamp service (`openssl ts`), and what is wrong with a recipient delays nothing."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.errors import StorageError
from core.settings.settings import Settings
from db import audit
from db.anchor.anchor_key import public_key_file
from db.anchor.anchor_state import last_anchor
from db.anchor.time_stamps import load_authorities
from db.anchor.verification import verify_with_anchors
from db.engine import Database
from dicom_node.anchor.anchor_loop import AnchorLoop
from dicom_node.notify.alert_monitor import ANCHOR, find_conditions
from tests.support.records import rows, run

TSA = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


def openssl(*arguments: str) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files of a time-stamp authority with its own CA."""
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "tsa.cnf").write_text(TSA.format(folder=folder))
    (folder / "serial").write_text("01\n")
    (folder / "extensions").write_text("extendedKeyUsage = critical, timeStamping\n")
    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*new, "-x509", "-subj", "/CN=Test CA", "-days", "2", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem")
    openssl(*new, "-subj", "/CN=Test TSA", "-keyout", f"{folder}/tsa.key", "-out", f"{folder}/tsa.csr")
    signed_by = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-extfile", f"{folder}/extensions")
    openssl("x509", "-req", "-in", f"{folder}/tsa.csr", *signed_by, "-days", "2", "-out", f"{folder}/tsa.pem")
    return folder


@contextmanager
def time_stamp_service(folder: Path) -> Iterator[str]:
    """Serve `openssl ts -reply` over HTTP (RFC 3161 3.4)."""

    class Service(BaseHTTPRequestHandler):
        """One request."""

        def do_POST(self) -> None:
            query, answer = folder / "query.tsq", folder / "answer.tsr"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            openssl("ts", "-reply", "-config", f"{folder}/tsa.cnf", "-queryfile", str(query), "-out", str(answer))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer.read_bytes())

        def log_message(self, format: str, *values: Any) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def make_loop(database: Database, tmp_path: Path, **audit_section: Any) -> AnchorLoop:
    """Make the loop with these settings, and an event to anchor."""
    audit.record_now(database, actor="admin", action="test.done", subject="thing")
    audit.chain(database)
    values = {"node": {"data_dir": tmp_path}, "webhook": {"url": "https://hook.example/x"}, "audit": audit_section}
    return AnchorLoop(Settings.model_validate(values), database, threading.Event())


def test_a_time_stamp_service_signs_an_anchor(database: Database, tmp_path: Path, authority: Path) -> None:
    with time_stamp_service(authority) as url:
        loop = make_loop(database, tmp_path, time_stamp_url=url, time_stamp_ca=authority / "ca.pem")
        loop.step()
    path, key = tmp_path / "audit" / "anchor.jsonl", public_key_file(tmp_path / "audit" / "anchor.key")
    found = verify_with_anchors(database, path, key, load_authorities(authority / "ca.pem"))
    assert (found.ok, found.time_stamps, found.anchor_problem) == (True, 1, "")
    other = tmp_path / "other.pem"
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-x509", "-subj", "/CN=Other", "-keyout", str(tmp_path / "k"), "-out", str(other))
    assert "time stamp is not valid" in verify_with_anchors(database, path, key, load_authorities(other)).anchor_problem


def test_a_service_of_another_authority_is_refused(database: Database, tmp_path: Path, authority: Path) -> None:
    other = tmp_path / "other.pem"
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-x509", "-subj", "/CN=Other", "-keyout", str(tmp_path / "k"), "-out", str(other))
    with time_stamp_service(authority) as url:
        make_loop(database, tmp_path, time_stamp_url=url, time_stamp_ca=other).step()
    state = last_anchor(database)
    assert state is not None
    assert "not valid" in state.recipients["time stamp"]["problem"]


@pytest.mark.parametrize("scheme", ["udp", "tcp", "unix"])
def test_syslog_gets_the_line(database: Database, tmp_path: Path, scheme: str) -> None:
    family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
    kind = socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as server:
        server.settimeout(60)
        server.bind(str(tmp_path / "log") if scheme == "unix" else ("127.0.0.1", 0))
        if scheme == "tcp":
            server.listen()
        url = f"unix://{tmp_path / 'log'}" if scheme == "unix" else f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        make_loop(database, tmp_path, syslog_url=url).step()
        if scheme == "tcp":
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as file:
                length, _, message = file.read().partition(b" ")
                assert int(length) == len(message)
        else:
            message = server.recv(65536)
    line = (tmp_path / "audit" / "anchor.jsonl").read_bytes().strip()
    assert message.startswith(b"<109>1 ")
    assert message.endswith(b" audit-anchor - " + line)


def test_a_file_that_cannot_be_written_raises_an_alert(database: Database, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    loop = make_loop(database, tmp_path, anchor_file=tmp_path / "file" / "anchor.jsonl")
    with pytest.raises(StorageError, match="Not a directory"):
        loop.take()
    settings = Settings.model_validate({"node": {"data_dir": tmp_path}})
    assert (ANCHOR, "problem") in find_conditions(settings, database)
    make_loop(database, tmp_path).take()
    assert not [kind for kind, _ in find_conditions(settings, database) if kind == ANCHOR]
    run(database, "UPDATE audit_anchor SET checked_at = checked_at - interval '1 hour'")
    assert (ANCHOR, "old") in find_conditions(settings, database)


def test_the_webhook_gets_number_and_hash(database: Database, tmp_path: Path) -> None:
    make_loop(database, tmp_path, to_webhook=True).step()
    ((event, number),) = rows(database, "SELECT event, details ->> 'number' FROM notifications")
    assert (event, number) == ("audit.anchored", "1")


def test_an_unreachable_recipient_is_tried_again_and_the_anchor_stands(database: Database, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    loop = make_loop(database, tmp_path, syslog_url=f"tcp://127.0.0.1:{port}")
    loop.step()
    state = last_anchor(database)
    assert state is not None
    assert (state.number, state.problem) == (1, "")
    assert "ConnectionRefusedError" in state.recipients["syslog"]["problem"]
    with socket.create_server(("127.0.0.1", port)) as server:
        loop.step()
        connection, _ = server.accept()
        connection.close()
    state = last_anchor(database)
    assert state is not None
    assert "problem" not in state.recipients["syslog"]
