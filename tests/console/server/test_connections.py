"""Connections whose clients are silent, slow or too many: they end, and nobody else waits for them. Real sockets."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from console.server import connection, tls_handshake
from console.server.body_limit import FORM_BYTES
from console.server.console_server import ConsoleServer
from core.settings.peers.tls import ConsoleTls
from core.settings.web.console import ConsoleSection
from db.engine import Database
from tests.support.certificates import Authority
from tests.support.console import RunningConsole, add_users
from tests.support.node_process import wait_until

SILENT, SLOW = "127.0.0.2", "127.0.0.3"
POST = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 900\r\n\r\n"
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def _port(console: RunningConsole) -> int:
    return int(httpx.URL(console.url).port or 0)


def _connect(port: int, source: str = "127.0.0.1", sent: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
    opened.sendall(sent)
    return opened


def _ended(opened: socket.socket) -> bytes:
    """Return what the console sent before it ended the connection; TimeoutError after 60 s."""
    received = b""
    try:
        while part := opened.recv(65536):
            received += part
    except ConnectionError:
        pass
    return received


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits that a test can wait for."""
    for name in ("HEAD_S", "BODY_S", "REST_S", "UNREAD_ANSWER_S"):
        monkeypatch.setattr(connection, name, 0.3)


@contextmanager
def _tls_console(database: Database, folder: Path, most: int = 600) -> Iterator[tuple[RunningConsole, ssl.SSLContext]]:
    authority = Authority(folder / "authority")
    cert, key = authority.sign("console")
    section = ConsoleSection(port=0, tls=ConsoleTls(cert=cert, key=key), max_connections=most)
    with RunningConsole(database, folder, console=section) as console:
        yield console, ssl.create_default_context(cafile=authority.ca)


def _send_for_ever(opened: socket.socket) -> None:
    for _ in range(100_000):
        opened.sendall(bytes(4096))
        time.sleep(0.001)


def _is_open(opened: socket.socket) -> bool:
    opened.settimeout(0.0)
    try:
        return opened.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_silent_connections_and_slow_heads_do_not_stop_the_page_of_another_user(database: Database, tmp_path: Path) -> None:
    add_users(database)
    section = ConsoleSection(port=0, max_connections=100)
    with RunningConsole(database, tmp_path, console=section) as console, ExitStack() as stack, console.browser("viewer") as browser:
        attack = [stack.enter_context(_connect(_port(console), SILENT)) for _ in range(150)]
        attack += [stack.enter_context(_connect(_port(console), SLOW, HEAD + b"X-A: b")) for _ in range(150)]
        began = time.monotonic()
        for _ in range(5):
            assert browser.get("/worklist").status_code == 200
            with console.browser() as other:
                assert other.sign_in("clinician").status_code == 303
            for opened in attack[-20:]:
                with suppress(OSError):  # ended already
                    opened.sendall(b"one more byte of a head that never ends")
        assert time.monotonic() - began < 30
        assert 0 < sum(map(_is_open, attack)) <= 100


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("sent", [b"", HEAD, POST, POST + b"name="])
def test_a_request_that_does_not_arrive_ends_without_an_answer(database: Database, tmp_path: Path, sent: bytes) -> None:
    with RunningConsole(database, tmp_path) as console, _connect(_port(console), sent=sent) as opened:
        assert _ended(opened) == b""
        assert httpx.get(f"{console.url}/healthz").status_code == 200


@pytest.mark.usefixtures("quick")
def test_the_second_request_of_a_connection_has_the_same_limit(database: Database, tmp_path: Path) -> None:
    with RunningConsole(database, tmp_path) as console, _connect(_port(console), sent=HEAD + b"\r\n" + HEAD) as opened:
        assert _ended(opened).count(b"HTTP/1.1 200") == 1


@pytest.mark.usefixtures("quick")
def test_the_body_of_a_refused_request_is_not_read_for_long(database: Database, tmp_path: Path) -> None:
    refused = POST.replace(b"/sign-in", b"/sign-out").replace(b"900", b"900000000")
    with RunningConsole(database, tmp_path) as console, _connect(_port(console), sent=refused) as opened:
        while b"\r\n\r\n" not in opened.recv(65536):
            pass
        with pytest.raises(ConnectionError):
            _send_for_ever(opened)


@pytest.mark.usefixtures("quick")
def test_a_body_that_arrives_steadily_is_taken_however_long_it_takes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BODY_BYTES_PER_S", 1)
    with RunningConsole(database, tmp_path) as console, _connect(_port(console), sent=POST) as opened:
        for _ in range(9):
            opened.sendall(b"x" * 100)
            time.sleep(0.2)
        assert opened.recv(65536).startswith(b"HTTP/1.1 401")


@pytest.mark.usefixtures("quick")
def test_an_answer_that_is_not_taken_ends() -> None:
    asked = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": bytes(4096), "more_body": True})
            await asyncio.sleep(0)

    stop = threading.Event()
    server = ConsoleServer(endless, stop, tls=None, most_connections=10)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as opened:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        opened.connect(listener.getsockname())
        opened.sendall(HEAD + b"\r\n")
        assert asked.wait(600)
        wait_until("the connection has ended", lambda: len(server.opened) == 0)
        stop.set()
        thread.join(60)


def test_a_body_that_is_too_long_is_refused_with_and_without_its_length(database: Database, tmp_path: Path) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        for content in (bytes(FORM_BYTES + 1), (bytes(65536) for _ in range(FORM_BYTES // 65536 + 1))):
            reply = browser.post("/sign-in", content=content, headers={"Content-Type": "application/x-www-form-urlencoded"})
            assert reply.status_code == 413
        browser.sign_in("operator")
        browser.open("/operations")
        headers = {"X-Form-Token": browser.form_token}
        reply = browser.post("/api/v1/jobs/1/requeue", content=bytes(FORM_BYTES + 1), headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (413, "application/problem+json")
        files = {"file": ("x.dcm", bytes(FORM_BYTES * 2))}
        answered = browser.post("/operations/route-test", data={"form_token": browser.form_token}, files=files)
        assert answered.status_code == 200, "where files are expected they may be longer"


def test_tls_has_hsts_and_no_server_header_and_silent_handshakes_make_room(database: Database, tmp_path: Path) -> None:
    with _tls_console(database, tmp_path, most=20) as (console, context), ExitStack() as stack:
        attack = [stack.enter_context(_connect(_port(console), SILENT)) for _ in range(60)]
        with httpx.Client(verify=context, timeout=60) as client:
            reply = client.get(console.url.replace("http:", "https:") + "/healthz")
        assert (reply.status_code, reply.headers["strict-transport-security"]) == (200, "max-age=31536000")
        assert "server" not in reply.headers
        assert sum(map(_is_open, attack)) <= 20


def test_a_tls_handshake_that_is_not_done_ends(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_handshake, "HANDSHAKE_S", 0.3)
    with _tls_console(database, tmp_path) as (console, _), _connect(_port(console)) as opened:
        assert _ended(opened) == b""
