"""Refuses requests that were sent to another host name (DNS rebinding, poisoned links): 400 (RFC 9110 7.2)."""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from console.api.replies.problems import problem
from console.server.address import is_expected_host

REFUSAL = (
    "the host name in the address is none of this console's: open it under its public address, "
    "or name this one in console.public_url or console.allowed_hosts"
)


class HostCheck:
    """ASGI middleware: passes requests on whose Host header is expected.

    Parameters
    ----------
    names
        Host names of the console, in lower case (`console.server.address.expected_hosts`).
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            hosts = Headers(scope=scope).getlist("host")
            local = str((scope.get("server") or ("",))[0])
            if len(hosts) != 1 or not is_expected_host(hosts[0], self._names, local):
                api = scope["path"].startswith("/api/")
                reply = problem(400, REFUSAL) if api else PlainTextResponse(f"{REFUSAL}\n", status_code=400)
                await reply(scope, receive, send)
                return
        await self._app(scope, receive, send)
