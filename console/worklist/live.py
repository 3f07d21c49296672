"""Server-sent events of the worklist: one LISTEN for all browsers. An event says only that something has changed."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from db.engine import Database
from db.notify import ChannelListener

CHANNELS = ("intake", "outbox", "delivery", "uploads", "states")
POLL_S = 1.0
READS_PER_S = 15  # how often all open worklists together read their lists again, so that many of them cost no more than a few
SHORTEST_S = 1.0
QUIET_S = 0.2  # a listener stores hundreds of images a second and notifies of each
KEEP_ALIVE_S = 20.0  # proxies end connections on which nothing is sent
MOST_BROWSERS = 500


class ChangeFeed:
    """Counts changes of the node in a thread; waits only while a browser listens.

    Changes that follow each other closely are one: browsers hear of them after `pause_s` at the earliest, and the first at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changes = 0
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

    @property
    def pause_s(self) -> float:
        """Seconds over which the browsers that listen now spread their reading."""
        return max(SHORTEST_S, len(self._listeners) / READS_PER_S)

    def _listen(self) -> None:
        waiter, told_at, waiting = ChannelListener(self._database, *CHANNELS), 0.0, False
        try:
            while True:
                changed = bool(waiter.wait(POLL_S))
                if changed:
                    self.changes += 1
                waiting = waiting or changed
                with self._lock:
                    if not self._listeners:
                        self._thread = None
                        return
                    if waiting and time.monotonic() - told_at >= self.pause_s:
                        told_at, waiting = time.monotonic(), False
                        for event, loop in self._listeners.items():
                            loop.call_soon_threadsafe(event.set)
                if changed:
                    time.sleep(QUIET_S)
        finally:
            waiter.close()


def build_router(feed: ChangeFeed) -> APIRouter:
    """Return the route of the events."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/worklist/events")
    async def events() -> Response:
        """Send ``data: changed SECONDS`` after a change, and a comment now and then to keep the connection.

        A browser reads its list again after a random part of these seconds.
        """
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
                        yield f"data: changed {feed.pause_s:.1f}\n\n"
                    except TimeoutError:
                        yield ": still here\n\n"
            finally:
                feed.remove(event)

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return routes
