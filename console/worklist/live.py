"""Server-sent events of the worklist: one LISTEN for all browsers. An event says only that something has changed."""

import asyncio
import threading
from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from console.auth.guard import Accounts
from db.engine import Database
from db.notify import ChannelListener

CHANNELS = ("intake", "outbox", "delivery", "uploads")
POLL_S = 1.0
KEEP_ALIVE_S = 20.0  # proxies end connections on which nothing is sent
MOST_BROWSERS = 500


class ChangeFeed:
    """Counts changes of the node in a thread; waits only while a browser listens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, event: asyncio.Event) -> bool:
        """Have ``event`` set at each change; False where too many browsers listen already."""
        with self._lock:
            if len(self._listeners) >= MOST_BROWSERS:
                return False
            self._listeners[event] = asyncio.get_running_loop()
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="worklist-changes", daemon=True)
                self._thread.start()
        return True

    def remove(self, event: asyncio.Event) -> None:
        """Stop setting ``event``; the thread ends with the last one."""
        with self._lock:
            self._listeners.pop(event, None)

    def _listen(self) -> None:
        waiter = ChannelListener(self._database, *CHANNELS)
        try:
            while True:
                changed = waiter.wait(POLL_S)
                with self._lock:
                    if not self._listeners:
                        self._thread = None
                        return
                    if changed:
                        for event, loop in self._listeners.items():
                            loop.call_soon_threadsafe(event.set)
        finally:
            waiter.close()


def build_router(accounts: Accounts) -> APIRouter:
    """Return the route of the events."""
    routes = APIRouter(include_in_schema=False)
    feed = ChangeFeed(accounts.database)

    @routes.get("/worklist/events")
    async def events() -> Response:
        """Send ``data: changed`` at each change, and a comment now and then to keep the connection."""
        event = asyncio.Event()
        if not feed.add(event):
            return Response(status_code=503, headers={"Retry-After": "60"})

        async def stream() -> AsyncIterator[str]:
            try:
                yield "retry: 5000\n\n"
                while True:
                    try:
                        await asyncio.wait_for(event.wait(), KEEP_ALIVE_S)
                        event.clear()
                        yield "data: changed\n\n"
                    except TimeoutError:
                        yield ": still here\n\n"
            finally:
                feed.remove(event)

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return routes
