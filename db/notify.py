"""Doorbells between roles: LISTEN/NOTIFY. Only ever a reason to look earlier; who waits looks again anyway."""

import select
import time
from typing import Any

import psycopg2
from sqlalchemy import Connection, text

from db.engine import Database
from db.pipelined import Act

CHANNELS = frozenset({"intake", "outbox", "delivery", "audit", "commands"})
RECONNECT_S = 1.0

_NOTIFY = text("SELECT pg_notify(:channel, '')")


def notify(connection: Connection, channel: str) -> None:
    """Ring when the caller's transaction commits."""
    connection.execute(*notifying(channel))


def notifying(channel: str) -> Act:
    """As `notify`, for `together`."""
    return _NOTIFY, {"channel": channel}


class Waiter:
    """LISTEN on a connection of its own. Reconnects by itself; while it cannot, ``wait`` just takes its time."""

    def __init__(self, database: Database, *channels: str) -> None:
        unknown = set(channels) - CHANNELS
        if unknown or not channels:
            raise ValueError(f"channels are {sorted(CHANNELS)}, not {sorted(unknown)}")
        self._channels = channels
        self._arguments = database.driver_arguments()
        self._connection: Any = None

    def wait(self, timeout_s: float) -> set[str]:
        """The channels that rang within ``timeout_s``; at once when one rings.

        After a reconnect all channels are given: something may have been missed. Never raises for a database that is gone.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if self._connection is None:
                    self._connect()
                    return set(self._channels)
                if rung := self._rung():
                    return rung
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

    def _rung(self) -> set[str]:
        self._connection.poll()
        rung = {notice.channel for notice in self._connection.notifies}
        self._connection.notifies.clear()
        return rung

    def _connect(self) -> None:
        connection = psycopg2.connect(**self._arguments)
        connection.autocommit = True
        self._connection = connection
        with connection.cursor() as cursor:
            for channel in self._channels:
                cursor.execute(f"LISTEN {channel}")

    def close(self) -> None:
        """Give the connection back; the next ``wait`` makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
