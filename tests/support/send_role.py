"""Runs the role ``send`` in this process, and reads the states of its deliveries."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.deliver import sender
from tests.support.polling import pause
from tests.support.role_thread import role_in_thread


def destination(port: int, name: str = "pacs") -> dict[str, Any]:
    """Settings of a DIMSE destination at this port of this machine."""
    return {"name": name, "ae_title": "PACS", "host": "127.0.0.1", "port": port, "accept_research": True}


def running_sender(settings: Settings, database: Database, blobs: Blobs) -> AbstractContextManager[None]:
    """The role ``send`` in a thread of this process; it is stopped at the end."""
    return role_in_thread(sender.run, settings, database, blobs)


def delivery_states(database: Database) -> list[tuple[Any, ...]]:
    """Return (destination, state, status, note, attempts) of every delivery."""
    with database.begin() as connection:
        found = connection.exec_driver_sql("SELECT destination, state, status, note, attempts FROM deliveries ORDER BY id")
        return [tuple(row) for row in found]


def wait_for(condition: Callable[[], bool], timeout_s: float = 600.0) -> None:
    """Wait until a condition holds. The limit only ends a test that fails: on a loaded machine anything may take long."""
    began = time.monotonic()
    deadline = began + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        pause(began, 0.05)
        began = time.monotonic()


# Retries after fractions of a second. The time-out is long: a peer on a loaded machine answers late, and no test waits for it in vain.
QUICK_RETRIES = {"retry_base_s": 0.2, "retry_cap_s": 0.5, "timeout_s": 60.0, "max_attempts": 50}
