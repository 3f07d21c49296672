"""LISTEN/NOTIFY between roles. A notification only shortens the polling interval; correctness never depends on it."""

import select
import time
from typing import Any

import psycopg2
from sqlalchemy import Connection, text

from db.engine import Database
from db.pipelined import Statement

CHANNELS = frozenset({"intake", "outbox", "delivery", "audit", "commands", "uploads", "states"})
RECONNECT_S = 1.0

_NOTIFY = text("SELECT pg_notify(:channel, '')")


def notify(connection: Connection, channel: str) -> None:
    """Send a notification when the caller's transaction commits."""
    connection.execute(*notify_statement(channel))


def notify_statement(channel: str) -> Statement:
    """Return the statement of `notify`, for `db.pipelined.execute_pipelined`."""
    return _NOTIFY, {"channel": channel}


class ChannelListener:
    """Listens to channels on a connection of its own, and reconnects when the connection is lost."""

    def __init__(self, database: Database, *channels: str) -> None:
        unknown = set(channels) - CHANNELS
        if unknown or not channels:
            raise ValueError(f"channels are {sorted(CHANNELS)}, not {sorted(unknown)}")
        self._channels = channels
        self._database = database
        self._connection: Any = None

    def wait(self, timeout_s: float) -> set[str]:
        """Wait for a notification, at most ``timeout_s``; return the channels that were notified.

        After a connect all channels are returned, because notifications may have been missed. While the database does not respond,
        this waits and returns nothing; it never raises.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if self._connection is None:
                    self._connect()
                    return set(self._channels)
                if notified := self._read():
                    return notified
                left = deadline - time.monotonic()
                if left <= 0:
                    return set()
                if select.select([self._connection], [], [], left)[0]:
                    self._connection.poll()
            except (psycopg2.Error, OSError):
                self.close()
                left = deadline - time.monotonic()
                time.sleep(max(0.0, min(RECONNECT_S, left)))
                if left <= 0:
                    return set()

    def _read(self) -> set[str]:
        """Take the notifications that have arrived."""
        self._connection.poll()
        notified = {notification.channel for notification in self._connection.notifies}
        self._connection.notifies.clear()
        return notified

    def _connect(self) -> None:
        connection = psycopg2.connect(**self._database.driver_arguments() | {"application_name": "dicom-node listen"})
        connection.autocommit = True
        self._connection = connection
        with connection.cursor() as cursor:
            for channel in self._channels:
                cursor.execute(f"LISTEN {channel}")

    def close(self) -> None:
        """Close the connection; the next ``wait`` opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
