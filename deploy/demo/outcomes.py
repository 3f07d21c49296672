"""What became of what was sent: read from the node's database until everything has come to an end."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.states import DeliveryState, JobState
from db.deliveries import delivery_leases
from db.engine import Database
from db.jobs import job_leases
from db.operations import results_export

STUCK_JOBS = frozenset({JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED})
STUCK_DELIVERIES = frozenset({DeliveryState.HELD, DeliveryState.FAILED, DeliveryState.WITHDRAWN})
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows of v_jobs, v_deliveries and v_findings at one moment."""

    jobs: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]

    def settled(self, units: Collection[str]) -> bool:
        """Whether every unit (by SOP or series UID) is delivered, has stopped for good, or was taken by no route."""
        ended = {unit_of(row) for row in self.jobs if row["job_state"] in {JobState.DELIVERED, *STUCK_JOBS}}
        stuck = {row["job_id"] for row in self.deliveries if row["state"] in STUCK_DELIVERIES}
        ended |= {unit_of(row) for row in self.jobs if row["job_id"] in stuck}
        ended |= {unit_of(row) for row in self.findings if row["job_id"] is None}
        return set(units) <= ended

    def summary(self, units: int) -> str:
        complete = len(self.jobs) + sum(row["job_id"] is None for row in self.findings)
        inferred = sum(row["inferred_at"] is not None for row in self.jobs)
        delivered = sum(row["job_state"] == JobState.DELIVERED for row in self.jobs)
        return f"complete {complete}/{units}, analysed {inferred}/{units}, reports delivered {delivered}/{units}"


def unit_of(row: Mapping[str, Any]) -> str:
    """What names the unit of a row: the image's UID, or the series'."""
    return str(row["sop_instance_uid"] or row["series_instance_uid"])


def look(database: Database) -> Seen:
    return Seen(job_leases.listing(database), delivery_leases.listing(database), list(results_export.findings(database)))


def wait(
    database: Database, units: Collection[str], timeout_s: float, tell: Callable[[str], None], alive: Callable[[], bool]
) -> tuple[Seen, bool]:
    """Look until all is settled (True), or the time is over or the node has ended (False)."""
    deadline, told = time.monotonic() + timeout_s, ""
    while True:
        seen = look(database)
        if (now := seen.summary(len(units))) != told:
            tell(now)
            told = now
        if seen.settled(units):
            return seen, True
        if time.monotonic() > deadline or not alive():
            return seen, False
        time.sleep(POLL_S)
