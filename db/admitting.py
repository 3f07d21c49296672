"""Group commit: what waits to be indexed on all associations of a process goes into one transaction, in one round trip.

Who comes when a lane is free carries what waits; the others are told. So a single association waits for nobody, and no thread
stands between the instances and the database.
"""

import threading
from collections import deque
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from core.records import InstanceHeader
from core.states import UnitKind
from core.steps import step
from db import intake
from db.base import Database, storage_errors
from db.records import Admission, BlobRef

LANES = 2  # groups at once: a unit that somebody holds keeps up one of them, not the process
MOST = 64  # of a group


class _Lane:
    """A connection of its own, in which every statement is a transaction: one round trip, and the commit is in it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None

    def admit(self, arrivals: list[intake.Arrival]) -> list[Admission | None]:
        """Raises StorageError where the database is out of reach, or lets nobody in; the next call dials again."""
        secret = self._database.installation()[1]
        try:
            with storage_errors():
                if self._connection is None:
                    self._connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                return intake.admit_new(self._connection, arrivals, secret)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Waiting:
    """One arrival, and what came of it: an admission, or nothing where it is to be admitted by itself."""

    __slots__ = ("admission", "arrival", "lane", "told")

    def __init__(self, arrival: intake.Arrival) -> None:
        self.arrival = arrival
        self.admission: Admission | None = None
        self.lane: _Lane | None = None  # given: it carries the next group
        self.told = threading.Lock()
        self.told.acquire()


class Admitter:
    """Admits instances, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._idle = [_Lane(database) for _ in range(LANES)]

    def admit(self, *, header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str) -> Admission:
        """As `intake.admit`: when this returns, the row is committed."""
        mine = _Waiting(intake.Arrival(header, blob, kind, association_id, source))
        with self._lock:
            if self._idle:
                mine.lane = self._idle.pop()
            else:
                self._waiting.append(mine)
        if mine.lane is None:
            mine.told.acquire()
        if mine.lane is not None:
            self._carry(mine, mine.lane)
        return mine.admission or intake.admit(
            self._database, header=header, blob=blob, kind=kind, association_id=association_id, source=source
        )

    def _carry(self, first: _Waiting, lane: _Lane) -> None:
        """One transaction for ``first`` and what waits. Where it fails, each is admitted by itself: one of them may be the reason."""
        with self._lock:
            group = [first, *(self._waiting.popleft() for _ in range(min(MOST - 1, len(self._waiting))))]
        step("receive.grouped")
        try:
            for one, admission in zip(group, lane.admit([one.arrival for one in group]), strict=True):
                one.admission = admission
            step("receive.committed")
        except Exception as error:
            # Each is tried by itself: one of them may be the reason, or the server was restarted, which costs no instance.
            if len(group) == 1 and not (isinstance(error.__cause__, DBAPIError) and error.__cause__.connection_invalidated):
                raise
        finally:
            self._pass_on(lane, group[1:])

    def _pass_on(self, lane: _Lane, carried: list[_Waiting]) -> None:
        for one in carried:
            one.told.release()
        with self._lock:
            if not self._waiting:
                self._idle.append(lane)
                return
            following = self._waiting.popleft()
            following.lane = lane
        following.told.release()

    def close(self) -> None:
        """Give the connections of idle lanes back; what comes afterwards dials again."""
        with self._lock:
            for lane in self._idle:
                lane.close()
