"""One job with everything that is known of it, under /api/v1."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.exceptions import HTTPException

from console.api.description import API_ROUTES
from console.api.operations import DeliveryEntry, JobEntry
from console.api.replies.study_resources import AttemptResource, FindingResource, Resource
from console.auth.guard import Accounts, AsViewer
from console.parameters import RowId
from core.errors import ConfigurationError
from db import audit
from db.jobs.job_admin import show_job


class JobObject(Resource):
    """One result object of a job."""

    kind: str
    profile: str = Field(description="Result profile for which it was made")
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    sha256: str
    size_bytes: int
    problems: list[str] = Field(description="What the validator found; empty where it is valid")
    created_at: datetime
    removed_at: datetime | None = Field(description="When retention deleted it")


class JobImage(Resource):
    """One image that the model received."""

    sop_instance_uid: str
    sha256: str
    notes: list[str] = Field(description="What was tolerated when it was received")
    removed_at: datetime | None


class JobDetail(JobEntry):
    """One job, without patient identifiers."""

    completion_evidence: dict[str, Any] = Field(description="Why its unit counts as complete, and which routes selected it")
    next_attempt_at: datetime | None
    prepare_s: float | None
    infer_s: float | None
    encode_s: float | None
    probabilities: dict[str, float] = Field(description="All class probabilities of a classifier")
    notes: list[str]
    priors: list[dict[str, Any]] = Field(
        description="Earlier results with which this one is compared, the newest first: job_id, model_version, model_digest, study_date, "
        "days"
    )
    priors_left_out: list[dict[str, Any]] = Field(
        description="Earlier results of the same Patient ID that are not surely of the patient, and are not compared with: doubt, results "
        "(how many), reason"
    )
    attempts_made: list[AttemptResource]
    findings: list[FindingResource]
    reports: list[JobObject]
    deliveries: list[DeliveryEntry]
    images: list[JobImage]


def build_router(accounts: Accounts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1", tags=["operations"], **API_ROUTES)
    database = accounts.database

    @routes.get("/jobs/{job_id}", summary="One job with attempts, findings, objects, deliveries and images")
    def job(job_id: RowId, viewer: AsViewer) -> JobDetail:
        """Return everything that is known of a job; the view is an audit event."""
        try:
            found = show_job(database, job_id)
        except ConfigurationError as error:
            raise HTTPException(404, f"there is no job {job_id}") from error
        audit.record_now(database, actor=viewer.actor, action="job.viewed", subject=f"job:{job_id}", details={"from": viewer.address})
        return JobDetail.model_validate(found)

    return routes
