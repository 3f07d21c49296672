"""The console as one role: the application, and its server in the calling thread."""

import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator

import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from console import api, pages
from console.health import CONSOLE, Look, look
from core.errors import ConfigurationError
from core.settings.settings import Settings
from core.tls import server_context
from db.engine import Database
from db.roles.role_heartbeat import RoleHeartbeat

GRACE_S = 5
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

log = structlog.get_logger(__name__)


def create(ae_title: str, seen: Callable[[], Look]) -> FastAPI:
    """The application: health, metrics, API and the status page, each from what ``seen`` gives at that moment.

    FastAPI's interactive API pages are off: they load scripts from elsewhere.
    """
    application = FastAPI(title="dicom-node", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None)
    application.include_router(api.router(seen, ae_title))
    application.include_router(pages.router(seen, ae_title))
    application.mount("/static", StaticFiles(directory=pages.FOLDER / "static"), name="static")

    @application.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    return application


class _Server(uvicorn.Server):
    """Ends when ``stop`` is set, and leaves the signals to whoever gave it."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn ten times a second; True ends the server."""
        return await super().on_tick(counter) or self._stop.is_set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(
    settings: Settings, database: Database, stop: threading.Event, on_ready: Callable[[str, int], None] = lambda host, port: None
) -> None:
    """Serve until ``stop`` is set. ``on_ready(host, port)`` is called when the port is bound (``console.port`` 0: any free one).

    Raises
    ------
    ConfigurationError
        The port cannot be bound, or the files of ``console.tls`` cannot be used.
    """
    wanted = settings.console
    files = wanted.tls  # before the port is bound: a wrong file is said at once
    secure = server_context(files, "console.tls", require_client=files.ca is not None) if files is not None else None
    try:
        listener = socket.create_server((wanted.host, wanted.port), family=socket.AF_INET6 if ":" in wanted.host else socket.AF_INET)
    except OSError as error:
        message = f"the console cannot listen on {wanted.host}:{wanted.port}: {error.strerror}"
        raise ConfigurationError(message, hint="set console.host and console.port") from error
    host, port = listener.getsockname()[:2]
    application = create(settings.node.ae_title, lambda: look(settings, database))
    config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_S)
    config.load()
    config.ssl = secure
    server = _Server(config, stop)
    url = f"{scheme(settings)}://{host}:{port}"
    with listener, RoleHeartbeat(database, CONSOLE, lambda: {"url": url}):
        log.info("console listens", host=host, port=port)
        on_ready(host, port)
        server.run(sockets=[listener])


def scheme(settings: Settings) -> str:
    """How the console is spoken to."""
    return "https" if settings.console.tls is not None else "http"
