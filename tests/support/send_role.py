"""The role ``send`` at work in this process, and what became of its deliveries."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.deliver import sender


def destination(port: int, name: str = "pacs") -> dict[str, Any]:
    return {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": port, "accept_research": True}


@contextmanager
def sending(settings: Settings, database: Database, blobs: Blobs) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(settings, database, blobs, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(35)
        assert not thread.is_alive()


def states(database: Database) -> list[tuple[Any, ...]]:
    with database.begin() as connection:
        found = connection.exec_driver_sql("SELECT destination, state, status, note, attempts FROM deliveries ORDER BY id")
        return [tuple(row) for row in found]


def wait_for(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


QUICK = {"retry_base_s": 0.2, "retry_cap_s": 0.5, "timeout_s": 2.0, "max_attempts": 50}
