"""Group commit: instances that wait to be indexed on all associations of a process are committed in one transaction.

A thread that finds an idle connection commits what waits, with its own instance; the other threads are notified. So a single association
never waits for another one, and no thread stands between the instances and the database. The rows are written while the disk writes the
bytes, and committed when the bytes of every instance of the group are on disk (decision 0029).
"""

import threading
from collections import deque
from collections.abc import Callable
from uuid import UUID

from psycopg2 import IntegrityError

from core.failpoints import failpoint
from core.records import InstanceHeader
from core.states import UnitKind
from db.blobs.blob_ref import BlobRef
from db.engine import Database
from db.receive.admission import Admission, Arrival, admit_instance
from db.receive.async_connection import AdmissionConnection

CONNECTIONS = 2  # groups at once: a unit that another transaction has locked delays one of them, not the process
MAX_GROUP = 64


class _Pending:
    """An instance that waits for its admission, and the result: an admission, or None where it must be admitted alone."""

    __slots__ = ("_done", "_error", "_sync", "_sync_ended", "admission", "arrival", "connection", "synced", "waiting")

    def __init__(self, arrival: Arrival, sync: Callable[[], object]) -> None:
        self.arrival = arrival
        self.admission: Admission | None = None
        self.connection: AdmissionConnection | None = None  # set: its thread commits the next group
        self.waiting = False  # its thread has nothing else to do, and can commit a group
        self.synced = False  # its bytes are on disk
        self._sync = sync
        self._error: BaseException | None = None
        # Locks that are released once: cheaper than threading.Event.
        self._sync_ended, self._done = threading.Lock(), threading.Lock()
        self._sync_ended.acquire()
        self._done.acquire()

    def sync(self) -> None:
        """Write its bytes to disk, in its own thread. A second call returns, or raises, the same without asking the disk again."""
        if self._error is not None:
            raise self._error
        if self.synced:
            return
        try:
            self._sync()
            self.synced = True
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._sync_ended.release()

    def wait_synced(self) -> bool:
        """Wait until its bytes are on disk; return False if the disk reported an error."""
        with self._sync_ended:
            return self.synced

    def notify(self) -> None:
        """Let its thread go on."""
        self._done.release()

    def wait(self) -> None:
        """Wait for `notify`."""
        self._done.acquire()


class GroupAdmitter:
    """Admits instances from any thread, in groups."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._queue: deque[_Pending] = deque()
        self._idle = [AdmissionConnection(database) for _ in range(CONNECTIONS)]

    def admit(
        self, *, header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str, sync: Callable[[], object]
    ) -> Admission:
        """Index one instance, as `db.receive.admission.admit_instance`.

        ``sync`` writes its bytes to disk. When this returns, ``sync`` has returned and, after it, the row was committed.
        """
        mine = _Pending(Arrival(header, blob, kind, association_id, source), sync)
        with self._lock:
            if self._idle:
                mine.connection = self._idle.pop()
            else:
                self._queue.append(mine)
        if mine.connection is None:
            try:
                mine.sync()
            finally:
                self._wait(mine)
        if mine.connection is not None:
            self._commit_group(mine, mine.connection)
        mine.sync()
        return mine.admission or admit_instance(
            self._database, header=header, blob=blob, kind=kind, association_id=association_id, source=source
        )

    def _wait(self, mine: _Pending) -> None:
        """Wait until another thread has admitted it, or it gets a connection itself. An instance whose sync failed leaves the queue."""
        with self._lock:
            mine.waiting = True
            if mine in self._queue and (self._idle or not mine.synced):
                self._queue.remove(mine)
                mine.connection = self._idle.pop() if mine.synced else None
                return
        mine.wait()

    def _commit_group(self, first: _Pending, connection: AdmissionConnection) -> None:
        """Admit ``first`` and what waits in one transaction. If it fails, each is admitted alone: one of them may be the cause."""
        with self._lock:
            group = [first, *(self._queue.popleft() for _ in range(min(MAX_GROUP - 1, len(self._queue))))]
        try:
            failpoint("receive.grouped")
            connection.begin([member.arrival for member in group])
            first.sync()
            if all(member.wait_synced() for member in group):
                failpoint("receive.synced")
                for member, admission in zip(group, connection.commit(), strict=True):
                    member.admission = admission
                failpoint("receive.committed")
            else:
                connection.close()
        except Exception as error:
            # Each is admitted alone now: one of them may be the cause, or the server was restarted, which loses no instance, or a unit was
            # erased at this moment (`db.patients.erasure`), and is new now.
            alone = len(group) == 1 and connection.open and not isinstance(error, IntegrityError)
            connection.close()
            if alone:
                raise
        finally:
            self._pass_on(connection, group[1:])

    def _pass_on(self, connection: AdmissionConnection, admitted: list[_Pending]) -> None:
        """Notify the threads of a group, and give the connection to the next thread that waits."""
        for member in admitted:
            member.notify()
        with self._lock:
            following = next((pending for pending in self._queue if pending.waiting), None)
            if following is None:
                self._idle.append(connection)
                return
            self._queue.remove(following)
            following.connection = connection
        following.notify()

    def close(self) -> None:
        """Close idle connections; a later admission connects again."""
        with self._lock:
            for connection in self._idle:
                connection.close()
