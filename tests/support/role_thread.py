"""Runs a role in a thread of this process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database


@contextmanager
def role_in_thread(run: Callable[..., Any], settings: Settings, database: Database, blobs: Blobs) -> Iterator[None]:
    """Call ``run``, the main function of a role, in a thread; the role is stopped at the end."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(settings, database, blobs, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(600)
        assert not thread.is_alive()
