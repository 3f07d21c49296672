"""Reads jobs, deliveries and findings from the node's database until all of them are in a final state."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.states import DeliveryState, JobState
from db.engine import Database
from db.listings.deliveries import list_deliveries
from db.listings.jobs import list_jobs
from db.operations import results_export

STUCK_JOBS = frozenset({JobState.FAILED, JobState.QUARANTINED, JobState.CANCELLED})
STUCK_DELIVERIES = frozenset({DeliveryState.HELD, DeliveryState.FAILED, DeliveryState.WITHDRAWN, DeliveryState.GIVEN_UP})
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class DemoSnapshot:
    """The rows of v_jobs, v_deliveries and v_findings at one moment."""

    jobs: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]

    def settled(self, units: Collection[str]) -> bool:
        """Whether every unit (by SOP or series UID) is delivered, cannot be delivered, or was selected by no route."""
        ended = {unit_uid(row) for row in self.jobs if row["job_state"] in {JobState.DELIVERED, *STUCK_JOBS}}
        stuck = {row["job_id"] for row in self.deliveries if row["state"] in STUCK_DELIVERIES}
        ended |= {unit_uid(row) for row in self.jobs if row["job_id"] in stuck}
        ended |= {unit_uid(row) for row in self.findings if row["job_id"] is None}
        return set(units) <= ended

    def summary(self, units: int) -> str:
        """Return how many of ``units`` are complete, analysed and delivered, in words."""
        complete = len(self.jobs) + sum(row["job_id"] is None for row in self.findings)
        inferred = sum(row["inferred_at"] is not None for row in self.jobs)
        delivered = sum(row["job_state"] == JobState.DELIVERED for row in self.jobs)
        return f"complete {complete}/{units}, analysed {inferred}/{units}, reports delivered {delivered}/{units}"


def unit_uid(row: Mapping[str, Any]) -> str:
    """Return the UID of the unit of a row: of the image, else of the series."""
    return str(row["sop_instance_uid"] or row["series_instance_uid"])


def take_snapshot(database: Database) -> DemoSnapshot:
    """Read the three views."""
    return DemoSnapshot(list_jobs(database), list_deliveries(database), list(results_export.export_findings(database)))


def wait_until_settled(
    database: Database, units: Collection[str], timeout_s: float, on_change: Callable[[str], None], is_alive: Callable[[], bool]
) -> tuple[DemoSnapshot, bool]:
    """Poll the database until all units are settled.

    Parameters
    ----------
    units
        SOP Instance UIDs of images and Series Instance UIDs of series.
    on_change
        Called with the summary whenever it has changed.
    is_alive
        Whether the node still runs; waiting ends when it does not.

    Returns
    -------
    tuple[DemoSnapshot, bool]
        The last snapshot, and whether all units were settled in time.
    """
    deadline, printed = time.monotonic() + timeout_s, ""
    while True:
        snapshot = take_snapshot(database)
        if (summary := snapshot.summary(len(units))) != printed:
            on_change(summary)
            printed = summary
        if snapshot.settled(units):
            return snapshot, True
        if time.monotonic() > deadline or not is_alive():
            return snapshot, False
        time.sleep(POLL_S)
