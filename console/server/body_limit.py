"""Limits the bodies of requests: a form or a JSON document is small, and files have limits of their own."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.formats import format_size

FORM_BYTES = 256 << 10


class BodyLimit:
    """ASGI middleware: a body that is too long is answered with 413. What has not arrived is never kept.

    The body is refused when it is read, so that a request that may not be made at all is refused for that reason.

    Parameters
    ----------
    larger
        Beginning of a path, and the bytes that its bodies may have; other bodies may have `FORM_BYTES`.
    """

    def __init__(self, app: ASGIApp, larger: Mapping[str, int]) -> None:
        self._app = app
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = next((size for start, size in self._larger.items() if scope["path"].startswith(start)), FORM_BYTES)
        announced = Headers(scope=scope).get("content-length", "0")
        received = int(announced) if announced.isdecimal() and int(announced) > most else 0

        async def receive_within_limit() -> Message:
            nonlocal received
            if received <= most:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= most:
                    return message
            raise HTTPException(413, f"more was sent than fits here: the body of a request may have {format_size(most)}")

        await self._app(scope, receive_within_limit, send)
