"""The console over TLS: both certificates are verified, old versions and plain connections are refused."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console import app
from core.errors import ConfigurationError
from core.settings.node import NodeSection
from core.settings.peers.tls import ConsoleTls
from core.settings.settings import Settings
from core.settings.web.console import ConsoleSection
from db.engine import Database
from tests.console.test_app import RunningConsole
from tests.support.certificates import Authority

Serve = Callable[..., int]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve(tmp_path: Path, authority: Authority, database: Database) -> Iterator[Serve]:
    """Return a function that starts a console with TLS and returns its port."""
    running: list[RunningConsole] = []

    def start(**more: Any) -> int:
        cert, key = authority.sign("console")
        console = ConsoleSection(port=0, tls=ConsoleTls(cert=cert, key=key, **more))
        running.append(RunningConsole(Settings(node=NodeSection(data_dir=tmp_path), console=console), database))
        return int(running[-1].client.base_url.port or 0)

    yield start
    for console in running:
        console.end()


def _get_health(
    port: int, ca: Path, *, client: tuple[Path, Path] | None = None, max_version: ssl.TLSVersion | None = None
) -> httpx.Response:
    context = ssl.create_default_context(cafile=ca)
    if client is not None:
        context.load_cert_chain(*client)
    if max_version is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = max_version
        context.set_ciphers("ALL:@SECLEVEL=0")
    with httpx.Client(verify=context) as http:
        return http.get(f"https://127.0.0.1:{port}/healthz")


def test_tls_is_served_and_the_certificate_is_verified(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve()
    assert _get_health(port, authority.ca).json() == {"status": "ok"}
    assert _get_health(port, authority.ca, max_version=ssl.TLSVersion.TLSv1_2).status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        _get_health(port, Authority(tmp_path / "other").ca)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(serve: Serve, authority: Authority) -> None:
    with pytest.raises(httpx.ConnectError):
        _get_health(serve(), authority.ca, max_version=ssl.TLSVersion.TLSv1_1)


def test_a_client_without_a_certificate_of_the_authority_is_refused(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve(ca=authority.ca)
    assert _get_health(port, authority.ca, client=authority.sign("client")).status_code == 200
    for client in (None, Authority(tmp_path / "other").sign("client")):
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            _get_health(port, authority.ca, client=client)


def test_a_plain_connection_is_refused(serve: Serve) -> None:
    port = serve()
    with socket.create_connection(("127.0.0.1", port), timeout=600) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        try:
            while chunk := plain.recv(4096):
                received += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP" not in received
    assert b"ok" not in received


def test_unusable_files_are_a_configuration_error(tmp_path: Path, database: Database, authority: Authority) -> None:
    cert, _ = authority.sign("one")
    settings = Settings(
        node=NodeSection(data_dir=tmp_path), console=ConsoleSection(port=0, tls=ConsoleTls(cert=cert, key=tmp_path / "none"))
    )
    with pytest.raises(ConfigurationError, match=r"console\.tls: .*give PEM files"):
        app.run(settings, database, threading.Event())
