"""TLS on the listener, with DCMTK as the client."""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings import Settings
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.scu import dcmtk
from tests.support.tools import tool


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = [tool("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2"]
    subprocess.run([*command, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key


def echo(port: int, *options: str) -> bool:
    command = [dcmtk("echoscu"), "-aet", "PACS", "-aec", "DICOMNODE", "-to", "5", "-ta", "5", *options, "127.0.0.1", str(port)]
    return subprocess.run(command, timeout=60, capture_output=True, check=False).returncode == 0


def test_only_with_a_client_certificate(
    start: Callable[[Settings], Running], make_settings: MakeSettings, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    node = start(make_settings(node={"tls": {"cert": cert, "key": key, "ca": cert}}))
    assert echo(node.port, "+tls", str(key), str(cert), "+cf", str(cert))
    assert not echo(node.port)
    assert not echo(node.port, "+tla", "+cf", str(cert))
    assert echo(node.port, "+tls", str(key), str(cert), "+cf", str(cert))


def test_a_slow_handshake_keeps_nobody_else_out(
    start: Callable[[Settings], Running], make_settings: MakeSettings, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    node = start(make_settings(node={"tls": {"cert": cert, "key": key, "require_client_cert": False}}))
    with socket.create_connection(("127.0.0.1", node.port)):
        started = time.monotonic()
        assert echo(node.port, "+tla", "+cf", str(cert))
        assert time.monotonic() - started < 8


def test_unusable_files_are_said(start: Callable[[Settings], Running], make_settings: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.tls"):
        start(make_settings(node={"tls": {"cert": tmp_path / "no", "key": tmp_path / "no"}}))
