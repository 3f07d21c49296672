"""The study page, and the download of result objects."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from console.auth.access import OPERATORS, UserRole
from console.auth.guard import Accounts, AsViewer, SignedIn, Viewer
from console.auth.replies import page
from console.model_labels import ModelLabels
from console.parameters import RowId
from console.study.timeline import steps_of
from console.verdicts.panel import REASONS, build_panel
from core.policy.priors.same_patient import OF_THE_STUDY, doubt_of_id
from core.settings.settings import Settings
from db.blobs.reader import BlobReader
from db.verdicts.result_verdicts import read_verdicts
from db.worklist.earlier_results import read_earlier_results
from db.worklist.study import find_result_object, read_study, record_object
from db.worklist.study_state import last_verdicts, study_state

FILE_TYPE = "application/dicom"

Prepare = Callable[[int, int, str], None]


def build_router(
    accounts: Accounts, templates: Jinja2Templates, current: Callable[[], Settings], blobs: BlobReader, prepare: Prepare
) -> APIRouter:
    """Return the routes of the study page. ``prepare`` is called with unit, job and image that will probably be opened next."""
    routes = APIRouter(include_in_schema=False)
    labels = ModelLabels(current().node.data_dir / "models")

    @routes.get("/studies/{study_id}")
    def study_page(request: Request, study_id: RowId, session: SignedIn, viewer: AsViewer) -> Response:
        """Show one study; the view is an audit event."""
        state = study_state(accounts.database, study_id)  # before the study is read: no change is missed
        study = read_study(accounts.database, study_id, viewer=viewer.actor, address=viewer.address)
        if study is None:
            raise HTTPException(404, "there is no such study")
        judged = [job for unit in study.units for job in unit.current if job.row.outcome is not None]
        if judged:
            first = next((job for job in judged if job.findings), judged[0])
            prepare(first.row.unit_id, first.row.id, first.findings[0].sop_instance_uid if first.findings else "")
        verdicts = read_verdicts(accounts.database, [job.row.id for job in judged])
        panels = {}
        for job in judged:
            known = labels.codes(job.row.model, job.row.pipeline_digest, job.findings)
            panels[job.row.id] = build_panel(job.row, job.findings, verdicts[job.row.id], known, session)
        models = sorted({job.row.model for job in judged})
        earlier = read_earlier_results(accounts.database, study_id, models, viewer=viewer.actor, address=viewer.address) if models else {}
        shown: dict[str, Any] = {"study": study, "state": state, "panels": panels, "earlier": earlier}
        doubt = doubt_of_id(study.row.patient_id)
        shown["no_identity"] = OF_THE_STUDY[doubt] if doubt else ""
        shown["made_by"] = {f"{job.row.model} {job.row.model_version}": job.row.id for job in reversed(judged)}
        shown["may_act"] = UserRole(session.user.role) in OPERATORS
        shown["destinations"] = [one.name for one in current().destinations]
        return page(templates, request, "study.html", **shown, steps_of=steps_of, advice=labels.advice, reasons=REASONS)

    @routes.get("/studies/{study_id}/state")
    def state(study_id: RowId) -> dict[str, Any]:
        """Say whether the study has changed, or was judged, since the page was read; no patient data, so no audit event."""
        return {"state": study_state(accounts.database, study_id), "verdicts": last_verdicts(accounts.database, study_id)}

    @routes.get("/objects/{object_id}")
    def download(object_id: RowId, viewer: AsViewer) -> Response:
        """Send a result object as a DICOM file; the download is an audit event."""
        return stored_file(accounts, blobs, object_id, viewer)

    return routes


def stored_file(accounts: Accounts, blobs: BlobReader, object_id: int, viewer: Viewer) -> FileResponse:
    """Return the file of a result object, and record that it was downloaded.

    Raises
    ------
    HTTPException
        404: there is no such object, or its file was deleted.
    """
    found = find_result_object(accounts.database, object_id)
    path = None if found is None else blobs.fetch(found.sha256)
    if found is None or path is None or not path.is_file():
        raise HTTPException(404, "there is no such object, or retention has deleted it")
    record_object(accounts.database, found, "downloaded", viewer=viewer.actor, address=viewer.address)
    return FileResponse(path, media_type=FILE_TYPE, filename=f"{found.kind}-{found.sop_instance_uid}.dcm")
