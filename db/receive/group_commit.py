"""Group commit: what waits to be indexed on all associations of a process goes into one transaction.

Who comes when a lane is free carries what waits; the others are told. So a single association waits for nobody, and no thread
stands between the instances and the database. The rows are written while the disk takes the bytes, and committed when it has taken
the bytes of every one of them (decision 0038).
"""

import threading
from collections import deque
from collections.abc import Callable
from uuid import UUID

from core.failpoints import failpoint
from core.records import InstanceHeader
from core.states import UnitKind
from db.engine import Database
from db.receive import admission as receive_admission
from db.receive.async_connection import Lane
from db.records import Admission, BlobRef

LANES = 2  # groups at once: a unit that somebody holds keeps up one of them, not the process
MOST = 64  # of a group


class _Waiting:
    """One arrival, and what came of it: an admission, or nothing where it is to be admitted by itself."""

    __slots__ = ("_error", "_safe", "_sync", "_told", "admission", "arrival", "lane", "lasting", "waits")

    def __init__(self, arrival: receive_admission.Arrival, sync: Callable[[], object]) -> None:
        self.arrival = arrival
        self.admission: Admission | None = None
        self.lane: Lane | None = None  # given: it carries the next group
        self.waits = False  # its thread has nothing else to do: it can carry a group
        self.lasting = False  # its bytes are on disk
        self._sync = sync
        self._error: BaseException | None = None
        self._safe, self._told = threading.Lock(), threading.Lock()
        self._safe.acquire()
        self._told.acquire()

    def sync(self) -> None:
        """In its own thread; the disk is asked once, and what it says is said again to who asks again."""
        if self._error is not None:
            raise self._error
        if self.lasting:
            return
        try:
            self._sync()
            self.lasting = True
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._safe.release()

    def safe(self) -> bool:
        """Wait until its bytes are on disk; False where the disk did not take them."""
        with self._safe:
            return self.lasting

    def tell(self) -> None:
        self._told.release()

    def wait(self) -> None:
        self._told.acquire()


class Admitter:
    """Admits instances, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._idle = [Lane(database) for _ in range(LANES)]

    def admit(
        self, *, header: InstanceHeader, blob: BlobRef, kind: UnitKind, association_id: UUID, source: str, sync: Callable[[], object]
    ) -> Admission:
        """As `intake.admit`: when this returns, the row is committed, and ``sync``, which makes its bytes safe, has returned before."""
        mine = _Waiting(receive_admission.Arrival(header, blob, kind, association_id, source), sync)
        with self._lock:
            if self._idle:
                mine.lane = self._idle.pop()
            else:
                self._waiting.append(mine)
        if mine.lane is None:
            try:
                mine.sync()
            finally:
                self._wait(mine)
        if mine.lane is not None:
            self._carry(mine, mine.lane)
        mine.sync()
        return mine.admission or receive_admission.admit(
            self._database, header=header, blob=blob, kind=kind, association_id=association_id, source=source
        )

    def _wait(self, mine: _Waiting) -> None:
        """Until it was carried, or has a lane to carry others. What the disk did not take is carried by nobody."""
        with self._lock:
            mine.waits = True
            if mine in self._waiting and (self._idle or not mine.lasting):
                self._waiting.remove(mine)
                mine.lane = self._idle.pop() if mine.lasting else None
                return
        mine.wait()

    def _carry(self, first: _Waiting, lane: Lane) -> None:
        """One transaction for ``first`` and what waits. Where it fails, each is admitted by itself: one of them may be the reason."""
        with self._lock:
            group = [first, *(self._waiting.popleft() for _ in range(min(MOST - 1, len(self._waiting))))]
        try:
            failpoint("receive.grouped")
            lane.begin([one.arrival for one in group])
            first.sync()
            if all(one.safe() for one in group):
                failpoint("receive.synced")
                for one, admission in zip(group, lane.commit(), strict=True):
                    one.admission = admission
                failpoint("receive.committed")
            else:
                lane.close()
        except Exception:
            # Each is tried by itself: one of them may be the reason, or the server was restarted, which costs no instance.
            alone = len(group) == 1 and lane.open
            lane.close()
            if alone:
                raise
        finally:
            self._pass_on(lane, group[1:])

    def _pass_on(self, lane: Lane, carried: list[_Waiting]) -> None:
        for one in carried:
            one.tell()
        with self._lock:
            following = next((one for one in self._waiting if one.waits), None)
            if following is None:
                self._idle.append(lane)
                return
            self._waiting.remove(following)
            following.lane = lane
        following.tell()

    def close(self) -> None:
        """Give the connections of idle lanes back; what comes afterwards dials again."""
        with self._lock:
            for lane in self._idle:
                lane.close()
