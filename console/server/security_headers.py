"""Adds the security headers to every response."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.assets import KEPT, assets_path

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}


def added_headers(*, secure: bool) -> dict[str, str]:
    """Return the headers of every response; ``secure``: browsers reach the console over HTTPS (HSTS, RFC 6797)."""
    return HEADERS | OVER_TLS if secure else HEADERS


class SecurityHeaders:
    """ASGI middleware; ``secure`` as in `added_headers`."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self._app = app
        self._added = added_headers(secure=secure)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._added)
                if message["status"] < 400 and scope["path"].startswith(f"{assets_path()}/"):
                    headers["Cache-Control"] = KEPT
            await send(message)

        await self._app(scope, receive, send_with_headers)
