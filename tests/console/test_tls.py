"""The console over TLS: certificates are checked both ways, nothing old is spoken, and a plain connection gets nowhere."""

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
from core.settings.console import ConsoleSection
from core.settings.node import NodeSection
from core.settings.settings import Settings
from core.settings.tls import ConsoleTls
from db.engine import Database
from tests.console.test_app import Running
from tests.support.certificates import Authority

Serve = Callable[..., int]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve(tmp_path: Path, authority: Authority, database: Database) -> Iterator[Serve]:
    """Starts a console with TLS; gives its port."""
    running: list[Running] = []

    def start(**more: Any) -> int:
        cert, key = authority.sign("console")
        console = ConsoleSection(port=0, tls=ConsoleTls(cert=cert, key=key, **more))
        running.append(Running(Settings(node=NodeSection(data_dir=tmp_path), console=console), database))
        return int(running[-1].client.base_url.port or 0)

    yield start
    for console in running:
        console.end()


def _ask(port: int, ca: Path, *, client: tuple[Path, Path] | None = None, most: ssl.TLSVersion | None = None) -> httpx.Response:
    context = ssl.create_default_context(cafile=ca)
    if client is not None:
        context.load_cert_chain(*client)
    if most is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = most
        context.set_ciphers("ALL:@SECLEVEL=0")
    with httpx.Client(verify=context) as asking:
        return asking.get(f"https://127.0.0.1:{port}/healthz")


def test_it_is_spoken_and_the_certificate_is_checked(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve()
    assert _ask(port, authority.ca).json() == {"status": "ok"}
    assert _ask(port, authority.ca, most=ssl.TLSVersion.TLSv1_2).status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        _ask(port, Authority(tmp_path / "stranger").ca)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_nothing_old_is_spoken(serve: Serve, authority: Authority) -> None:
    with pytest.raises(httpx.ConnectError):
        _ask(serve(), authority.ca, most=ssl.TLSVersion.TLSv1_1)


def test_a_client_without_the_right_certificate_is_not_answered(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    port = serve(ca=authority.ca)
    assert _ask(port, authority.ca, client=authority.sign("somebody")).status_code == 200
    for client in (None, Authority(tmp_path / "stranger").sign("nobody")):
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)):
            _ask(port, authority.ca, client=client)


def test_a_plain_connection_gets_nowhere(serve: Serve) -> None:
    port = serve()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        try:
            while chunk := plain.recv(4096):
                received += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP" not in received
    assert b"ok" not in received


def test_files_that_cannot_be_used_are_a_configuration_error(tmp_path: Path, database: Database, authority: Authority) -> None:
    cert, _ = authority.sign("one")
    settings = Settings(
        node=NodeSection(data_dir=tmp_path), console=ConsoleSection(port=0, tls=ConsoleTls(cert=cert, key=tmp_path / "none"))
    )
    with pytest.raises(ConfigurationError, match=r"console\.tls: .*give PEM files"):
        app.run(settings, database, threading.Event())
