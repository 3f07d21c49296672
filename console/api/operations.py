"""Lists of jobs, deliveries, commitment reports, units without a route, quarantine, alerts and notifications under /api/v1."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from console.api.description import API_ROUTES
from console.api.replies.list_page import Limit, ListPage, PlacePage, list_page, place_page
from console.api.replies.study_resources import Resource
from console.auth.guard import Accounts, AsViewer, Viewer
from console.parameters import Before, BeforePlace, SearchText
from core.states import DeliveryState, JobState
from db import audit
from db.commitment.failed_reports import list_failed_reports
from db.listings.deliveries import list_deliveries
from db.listings.jobs import list_jobs
from db.listings.place import ListPlace
from db.listings.quarantine import list_quarantined
from db.listings.unrouted import list_unrouted
from db.operations.alerts import current_alerts
from db.operations.webhook_notifications import list_unaccepted


class JobEntry(Resource):
    """One job, without patient identifiers."""

    job_id: int
    job_state: JobState
    outcome: str | None
    reason: str
    revision: int
    run: int
    priority: str
    model: str
    model_version: str
    model_digest: str
    routes: list[str]
    destinations: list[str]
    attempts: int
    worker: str | None
    unit_id: int
    unit_kind: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    source: str
    queued_at: datetime
    started_at: datetime | None
    reported_at: datetime | None
    delivered_at: datetime | None
    shadow: bool


class DeliveryEntry(Resource):
    """One delivery, without patient identifiers."""

    delivery_id: int
    job_id: int
    destination: str
    object: str = Field(description="Kind of the object")
    sop_instance_uid: str
    state: DeliveryState
    priority: str
    attempts: int
    next_attempt_at: datetime
    note: str
    created_at: datetime
    changed_at: datetime
    stored_at: datetime | None
    committed_at: datetime | None
    model: str
    study_instance_uid: str


class UnroutedUnit(Resource):
    """A unit that no route took. ``let_go``: retention has deleted images, so that it cannot be routed again."""

    unit_id: int
    kind: str
    source: str
    held: int
    completed_at: datetime
    reason: str
    let_go: bool
    study_instance_uid: str
    series_instance_uid: str
    accession_number: str
    modality: str
    study_description: str
    series_description: str


class QuarantineEntry(Resource):
    """A refused data set."""

    id: int
    sha256: str
    size_bytes: int
    reason: str
    source: str
    first_at: datetime
    last_at: datetime
    times: int


class AlertEntry(Resource):
    """A condition that needs a person, and its age in seconds."""

    kind: str
    subject: str
    age_s: float


class ReportEntry(Resource):
    """A storage commitment report that a source did not accept."""

    id: int
    source: str = Field(description="AE title")
    instances: int = Field(description="Number of instances that the source has listed")
    attempts: int
    received_at: datetime
    failed_at: datetime
    note: str = Field(description="Why it could not be sent")


class NotificationEntry(Resource):
    """A message that the webhook has not accepted; no patient data."""

    id: int
    event: str
    subject: str
    at: datetime
    state: str = Field(description="`pending`: it is posted again; `failed`: it is not")
    attempts: int
    note: str = Field(description="Why the last attempt was not accepted")
    next_attempt_at: datetime


def build_router(accounts: Accounts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1", tags=["operations"], **API_ROUTES)
    database = accounts.database

    def _seen(viewer: Viewer, what: str, ids: list[int]) -> None:
        if ids:
            audit.record_now(
                database, actor=viewer.actor, action=f"{what}.viewed", subject=what, details={"from": viewer.address, "ids": ids}
            )

    @routes.get("/jobs", summary="Jobs")
    def jobs(viewer: AsViewer, state: JobState | None = None, before: Before = None, limit: Limit = 50) -> ListPage[JobEntry]:
        """Return jobs, the newest first."""
        found = list_jobs(database, state=state, before=before, limit=limit)
        ids = [int(row["job_id"]) for row in found]
        _seen(viewer, "jobs", ids)
        return list_page([JobEntry(**row) for row in found], ids, limit)

    @routes.get("/deliveries", summary="Deliveries")
    def deliveries(
        viewer: AsViewer, state: DeliveryState | None = None, destination: SearchText = "", before: Before = None, limit: Limit = 50
    ) -> ListPage[DeliveryEntry]:
        """Return deliveries, the newest first."""
        found = list_deliveries(database, state=state, destination=destination or None, before=before, limit=limit)
        ids = [int(row["delivery_id"]) for row in found]
        _seen(viewer, "deliveries", ids)
        return list_page([DeliveryEntry(**row) for row in found], ids, limit)

    @routes.get("/units/unrouted", summary="Units that no route took")
    def unrouted(viewer: AsViewer, before: BeforePlace = None, limit: Limit = 50) -> PlacePage[UnroutedUnit]:
        """Return units that no route took, each with the reason, the latest first."""
        found = list_unrouted(database, since=None, before=_place(before), limit=limit)
        ids = [int(row["unit_id"]) for row in found]
        _seen(viewer, "units", ids)
        places = [ListPlace(row["completed_at"], row["unit_id"]) for row in found]
        return place_page([UnroutedUnit(**row) for row in found], places, limit)

    @routes.get("/quarantine", summary="Refused data sets")
    def quarantine(viewer: AsViewer, before: BeforePlace = None, limit: Limit = 50) -> PlacePage[QuarantineEntry]:
        """Return refused data sets with the reason, the latest first."""
        found = list_quarantined(database, limit, before=_place(before))
        return place_page([QuarantineEntry.model_validate(item) for item in found], [item.place for item in found], limit)

    @routes.get("/alerts", summary="Open alerts")
    def alerts() -> list[AlertEntry]:
        """Return the conditions that need a person."""
        return [AlertEntry.model_validate(alert) for alert in current_alerts(database)]

    @routes.get("/commitments", summary="Storage commitment reports that a source did not accept")
    def commitments(before: Before = None, limit: Limit = 50) -> ListPage[ReportEntry]:
        """Return the reports that could not be sent, the newest first."""
        found = list_failed_reports(database, limit=limit, before=before)
        return list_page([ReportEntry.model_validate(one) for one in found], [one.id for one in found], limit)

    @routes.get("/notifications", summary="Notifications that the webhook has not accepted")
    def notifications(before: Before = None, limit: Limit = 50) -> ListPage[NotificationEntry]:
        """Return the messages that the webhook has refused or not answered, the newest first."""
        found = list_unaccepted(database, limit=limit, before=before)
        return list_page([NotificationEntry.model_validate(one) for one in found], [one.id for one in found], limit)

    return routes


def _place(before: str | None) -> ListPlace | None:
    return None if before is None else ListPlace.read(before)
