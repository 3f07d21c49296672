"""Posts a body over HTTP or HTTPS within limits that the receiver cannot extend: of time for the request, and of bytes for the answer.

The time-out of an HTTP library counts each read, so a receiver that sends one byte a second holds the caller for as long as it likes.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import certifi


class NotPosted(Exception):
    """The body was not posted, or no whole answer came within the limits. The message says why, without the URL, which may be a secret."""


@dataclass(frozen=True)
class Limits:
    """Limits of one request: ``seconds`` to connect to an address and again for all that follows, and bytes of the answer's body.

    With ``answer_bytes`` 0 the body is not read.
    """

    seconds: float
    answer_bytes: int = 0


def post_within(limits: Limits, url: str, body: bytes, headers: dict[str, str], ca: Path | None = None) -> tuple[int, bytes]:
    """Post a body and return the status and the body of the answer. Redirects and proxies are not followed.

    ``ca`` is a PEM file of authorities that replace the public ones.

    Raises
    ------
    NotPosted
        The receiver is unreachable, is not trusted, or exceeds a limit.
    """
    late = threading.Event()
    try:
        answer = _post(limits, urlsplit(url), body, {"User-Agent": "dicom-node", **headers}, ca, late)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if not late.is_set() and not isinstance(error, TimeoutError):
            if isinstance(error, ssl.SSLError):
                raise NotPosted("its certificate is not accepted, or it does not use TLS") from None
            raise NotPosted(f"unreachable: {type(error).__name__}") from None
        late.set()
    if late.is_set():  # also where the answer looks whole: without a Content-Length it ends with the connection
        raise NotPosted(f"no answer within {limits.seconds:g} s")
    if limits.answer_bytes < len(answer[1]):
        raise NotPosted(f"answered with more than {limits.answer_bytes} bytes")
    return answer


def _post(
    limits: Limits, url: SplitResult, body: bytes, headers: dict[str, str], ca: Path | None, late: threading.Event
) -> tuple[int, bytes]:
    secure = url.scheme == "https"
    context = ssl.create_default_context(cafile=ca or certifi.where()) if secure else None
    host, port = (url.hostname or "").encode("idna").decode("ascii"), url.port or (443 if secure else 80)
    target = f"{url.path or '/'}{'?' * bool(url.query)}{url.query}"
    with socket.create_connection((host, port), limits.seconds) as plain, _ended_after(limits.seconds, plain, late):
        connection = http.client.HTTPConnection(host, port)
        connection.sock = context.wrap_socket(plain, server_hostname=host) if context is not None else plain
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(limits.answer_bytes + 1) if limits.answer_bytes else b""
        finally:
            connection.close()


@contextmanager
def _ended_after(seconds: float, connected: socket.socket, late: threading.Event) -> Iterator[None]:
    """Shut the connection down after ``seconds``, which ends every read and write; the event tells this end from others.

    A duplicate of the socket is shut down, because TLS takes the socket itself over.
    """

    def end() -> None:
        late.set()
        with suppress(OSError):
            duplicate.shutdown(socket.SHUT_RDWR)

    with connected.dup() as duplicate:
        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
