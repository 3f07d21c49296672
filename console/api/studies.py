"""Studies, findings and result objects under /api/v1. Every answer with patient data is an audit event."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from console.api.description import API_ROUTES
from console.api.replies.list_page import Limit, ListPage, list_page
from console.api.replies.study_resources import (
    AttemptResource,
    DeliveryResource,
    FindingEntry,
    FindingResource,
    JobResult,
    ObjectResource,
    StudyEntry,
    StudyResult,
    StudyView,
    UnitResult,
)
from console.auth.guard import Accounts, AsViewer
from console.parameters import Before, RowId, SearchText
from console.study.routes import FILE_TYPE, stored_file
from core.states import Outcome, Tier
from db.blobs.reader import BlobReader
from db.worklist.findings import FindingFilter, list_findings
from db.worklist.studies import list_studies
from db.worklist.study import JobDetails, StudyDetails, UnitDetails, read_study, record_list_view
from db.worklist.study_filter import VERDICTS, StudyFilter

Since = Annotated[date | None, Query(description="Received on this day (UTC) or later.")]
Until = Annotated[date | None, Query(description="Received on this day (UTC) or earlier.")]
VerdictState = Annotated[str, Query(pattern=f"^({'|'.join(VERDICTS)})?$")]
StateName = Annotated[str, Query(pattern="^(failed|receiving|queued|running|reported|delivered|not_routed)?$")]


def build_router(accounts: Accounts, blobs: BlobReader) -> APIRouter:
    """Return the routes of studies, findings and objects."""
    routes = APIRouter(prefix="/api/v1", tags=["results"], **API_ROUTES)
    database = accounts.database

    @routes.get("/studies", summary="Worklist")
    def studies(
        viewer: AsViewer, text: SearchText = "", modality: SearchText = "", model: SearchText = "", outcome: Outcome | None = None,
        tier: Tier | None = None, finding: SearchText = "", destination: SearchText = "", state: StateName = "",
        verdict: VerdictState = "", since: Since = None, until: Until = None, before: Before = None, limit: Limit = 50,
    ) -> ListPage[StudyEntry]:  # fmt: skip
        """Return studies, the last received first. `text` is searched in name, ID, accession number and description."""
        wanted = StudyFilter(
            text, modality, model, outcome or "", tier or "", finding, destination, state, since=since, until=until, verdict=verdict
        )
        found = list_studies(database, wanted, before=before, limit=limit)
        numbers = [study.id for study in found]
        record_list_view(database, numbers, viewer=viewer.actor, address=viewer.address)
        return list_page([StudyEntry.model_validate(study) for study in found], numbers, limit)

    @routes.get("/studies/{study_id}", summary="One study with its results")
    def study(study_id: RowId, viewer: AsViewer) -> StudyResult:
        """Return a study with its units, jobs, findings, objects, deliveries and earlier views."""
        found = read_study(database, study_id, viewer=viewer.actor, address=viewer.address)
        if found is None:
            raise HTTPException(404, f"there is no study {study_id}")
        return _study(found)

    @routes.get("/findings", summary="Findings of results that count")
    def findings(
        viewer: AsViewer, label: SearchText = "", model: SearchText = "", tier: Tier | None = None, since: Since = None,
        until: Until = None, before: Before = None, limit: Limit = 50,
    ) -> ListPage[FindingEntry]:  # fmt: skip
        """Return findings, the newest first; those of superseded results and of shadows are left out."""
        wanted = FindingFilter(label, model, tier or "", since, until)
        found = list_findings(database, wanted, before=before, limit=limit, viewer=viewer.actor, address=viewer.address)
        return list_page([FindingEntry.model_validate(row) for row in found], [row.id for row in found], limit)

    @routes.get(
        "/objects/{object_id}",
        summary="A result object as a DICOM file",
        response_class=Response,
        responses={200: {"content": {FILE_TYPE: {"schema": {"type": "string", "format": "binary"}}}, "description": "DICOM file"}},
    )
    def result_object(object_id: RowId, viewer: AsViewer) -> FileResponse:
        """Return the file bit for bit as it is sent to destinations."""
        return stored_file(accounts, blobs, object_id, viewer)

    return routes


def _study(found: StudyDetails) -> StudyResult:
    views = [StudyView.model_validate(view) for view in found.views]
    return StudyResult.model_validate(found.row).model_copy(update={"units": [_unit(unit) for unit in found.units], "views": views})


def _unit(unit: UnitDetails) -> UnitResult:
    kinds = {name: [_job(job) for job in getattr(unit, name)] for name in ("current", "earlier", "shadows")}
    return UnitResult.model_validate(unit.row).model_copy(update=kinds)


def _job(job: JobDetails) -> JobResult:
    parts = {
        "newer_images": job.newer_images,
        "findings": [FindingResource.model_validate(row) for row in job.findings],
        "attempts_made": [AttemptResource.model_validate(row) for row in job.attempts],
        "objects": [ObjectResource.model_validate(row) for row in job.objects],
        "deliveries": [DeliveryResource.model_validate(row) for row in job.deliveries],
    }
    return JobResult.model_validate(job.row).model_copy(update=parts)
