"""A receiver cannot hold the caller of a POST: not with a slow answer, not with a long one, not within the TLS handshake."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_node.bounded_post import Limits, NotPosted, post_within
from tests.support.certificates import Authority
from tests.support.one_connection import answer_one_connection
from tests.support.webhook_server import webhook_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
PROBLEM = r"^(no answer within 0\.6 s|its certificate is not accepted, or it does not use TLS)$"


def _one_byte_at_a_time(connection: socket.socket) -> None:
    connection.recv(65536)
    while True:  # until the client closes the connection: every read of the client succeeds long before its own limit
        connection.sendall(b"x")
        threading.Event().wait(0.05)


def _silence(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _slow_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD)
    _one_byte_at_a_time(connection)


def _endless_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD)
    while True:
        connection.sendall(bytes(65536))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("answer", [_one_byte_at_a_time, _silence, _slow_body])
def test_the_limit_of_time_is_of_the_whole_request(scheme: str, answer: Callable[[socket.socket], None]) -> None:
    with answer_one_connection(answer) as (port, _), pytest.raises(NotPosted, match=PROBLEM) as problem:
        post_within(Limits(seconds=0.6, answer_bytes=1 << 20), f"{scheme}://127.0.0.1:{port}/token", b"{}", {})
    assert "token" not in str(problem.value)


def test_a_long_answer_is_refused_and_not_kept() -> None:
    with answer_one_connection(_endless_body) as (port, _), pytest.raises(NotPosted, match="answered with more than 100000 bytes"):
        post_within(Limits(seconds=60, answer_bytes=100_000), f"http://127.0.0.1:{port}/", b"{}", {})


def test_an_answer_of_which_only_the_status_is_wanted_is_not_read() -> None:
    with answer_one_connection(_slow_body) as (port, _):
        assert post_within(Limits(seconds=60), f"http://127.0.0.1:{port}/", b"{}", {}) == (200, b"")


def test_what_is_posted_arrives_and_the_environment_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    with webhook_server(authority.sign("hook")) as server:
        url = f"https://127.0.0.1:{server.port}/"
        assert post_within(Limits(seconds=60, answer_bytes=10), url, b"body", {"X-One": "1"}, authority.ca) == (200, b"")
        with pytest.raises(NotPosted, match="certificate is not accepted"):
            post_within(Limits(seconds=60), url, b"body", {})
        with pytest.raises(NotPosted, match="unreachable: FileNotFoundError"):
            post_within(Limits(seconds=60), url, b"body", {}, tmp_path / "none.pem")
    ((headers, body),) = server.posts
    assert (headers["X-One"], headers["User-Agent"], body) == ("1", "dicom-node", b"body")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://[/", "http://no.such.host.invalid/"])
def test_an_unreachable_receiver_is_named_by_its_problem_alone(url: str) -> None:
    with pytest.raises(NotPosted, match=r"^unreachable: \w+$"):
        post_within(Limits(seconds=60), url, b"", {})
