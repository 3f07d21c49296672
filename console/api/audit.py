"""The audit trail under /api/v1/audit: search, export, verification of the chain, and access report of a patient."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from console.api.description import API_ROUTES
from console.api.replies.list_page import Limit, ListPage, list_page
from console.api.replies.study_resources import Resource
from console.audit.downloads import EVENT_COLUMNS, download
from console.auth.guard import Accounts, AsViewer
from console.parameters import NO_NUL, Before, SearchText
from core.settings.settings import Settings
from db.anchor.anchor_key import public_key_file
from db.audit_filter import AuditFilter
from db.audit_search import export_events, last_verification, search_events, verify_chain
from db.patient_access import patient_access


class AuditEntry(Resource):
    """One audit event with its place in the hash chain."""

    event_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    chain_seq: int | None
    chain_hash: str | None


class ChainResult(Resource):
    """Result of a verification: ``broken`` is the first event that is wrong, null if the chain is whole.

    ``anchors`` were compared; ``anchor_problem`` is why the chain does not fit them, or empty.
    """

    events: int
    chained: int
    unchained: int
    head: str
    broken: int | None
    reason: str
    ok: bool
    anchors: int
    anchor_problem: str


class LastVerification(Resource):
    """The last verification: verified up to row ``chained`` at ``at``, or broken at event ``broken``."""

    at: datetime
    actor: str
    chained: int
    broken: int | None
    anchor: str


class AccessedStudy(Resource):
    """A study of the patient."""

    id: int
    study_instance_uid: str
    accession_number: str
    study_date: str


class PatientView(Resource):
    """A view of the patient's data by a person."""

    at: datetime
    actor: str
    action: str
    subject: str
    address: str | None


class PatientDelivery(Resource):
    """A result of the patient that a destination has stored; where it did not commit to it, ``state`` is another one."""

    at: datetime | None
    destination: str
    kind: str
    sop_instance_uid: str
    state: str
    model: str
    model_version: str
    subject: str


class ExportOfMany(PatientView):
    """A file with the data of many patients, this one possibly among them."""


class AccessReport(Resource):
    """Who has viewed and who has received the data of one patient; ``exports``: the last 50 that may contain them.

    ``issuers`` of the Patient ID: where they are several, they are those of several persons, and one has to be named.
    """

    studies: list[AccessedStudy]
    views: list[PatientView]
    deliveries: list[PatientDelivery]
    exports: list[ExportOfMany]
    issuers: list[str]


def _filter(
    actor: SearchText = "", action: SearchText = "", subject: SearchText = "", patient_id: SearchText = "", study: SearchText = "",
    object: SearchText = "", since: date | None = None, until: date | None = None,
) -> AuditFilter:  # fmt: skip
    return AuditFilter(actor, action, subject, patient_id, study, object, since, until)


Wanted = Annotated[AuditFilter, Depends(_filter)]
PatientId = Annotated[str, Query(min_length=1, max_length=64, pattern=NO_NUL)]
Issuer = Annotated[str | None, Query(max_length=64, pattern=NO_NUL, description="Issuer of Patient ID; empty for none.")]


def build_router(accounts: Accounts, settings: Settings) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1/audit", tags=["audit"], **API_ROUTES)
    database = accounts.database
    anchors = (settings.anchor_file, public_key_file(settings.anchor_key))

    @routes.get("/events", summary="Audit events")
    def events(wanted: Wanted, before: Before = None, limit: Limit = 50) -> ListPage[AuditEntry]:
        """Return events, the newest first. `actor` is a part of the name, `action` a beginning, `study` a number or UID,
        `object` the SOP Instance UID or SHA-256 of a result object; of `patient_id`, `study` and `object` the first counts."""
        found = search_events(database, wanted, before=before, limit=limit)
        return list_page([AuditEntry.model_validate(row) for row in found], [row.event_id for row in found], limit)

    @routes.get(
        "/export",
        summary="Every event that passes the filter, as a file",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/json": {}, "text/csv": {}}, "description": "The events, the oldest first"}},
    )
    def export(wanted: Wanted, viewer: AsViewer, format: Literal["json", "csv"] = "json") -> StreamingResponse:
        """Return all events with their hashes; the export is an audit event itself."""
        rows = export_events(database, wanted, actor=viewer.actor, address=viewer.address)
        return download("audit", EVENT_COLUMNS, rows, as_json=format == "json")

    @routes.post("/verify", summary="Verify the chain now")
    def verify(viewer: AsViewer) -> ChainResult:
        """Walk the hash chain from its first event and name the first one that is wrong."""
        return ChainResult.model_validate(verify_chain(database, *anchors, actor=viewer.actor))

    @routes.get("/verification", summary="The last verification")
    def verification() -> LastVerification | None:
        """Return up to which row the chain was verified, and when; null where it never was."""
        found = last_verification(database)
        return None if found is None else LastVerification.model_validate(found)

    @routes.get("/patient-access", summary="Access report of a patient")
    def access_report(viewer: AsViewer, patient_id: PatientId, issuer: Issuer = None) -> AccessReport:
        """Return who has viewed and who has received the data of a patient; asking is an audit event with a keyed reference."""
        found = patient_access(database, patient_id, issuer=issuer, actor=viewer.actor, address=viewer.address)
        return AccessReport.model_validate(found)

    return routes
