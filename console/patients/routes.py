"""The page on which an administrator erases all data of one person: what would go, then a reason, a typed confirmation, and a command.

The role ``conduct`` carries the command out (`dicom_node.erasure`). What is shown here, and what was asked for, are audit events.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from console.auth.guard import Accounts, AsViewer, Viewer
from console.auth.replies import page, redirect
from console.operations.command_replies import commands_reply
from console.operations.commands import LONGEST_REASON, shown_command, shown_commands
from console.parameters import NO_NUL, PostedForm, RowId, SearchText
from console.patients.refused_data_sets import SHOWN_REFERENCE, RefusedDataSets, find_refused
from core.errors import ConfigurationError, NodeError
from db import audit
from db.engine import Database
from db.listings.quarantine import count_quarantined
from db.operations.command_kinds import CommandKind
from db.patients.erasure_plan import ErasurePlan, plan_erasure
from db.patients.erasure_record import has_open_erasure
from db.patients.erasure_rules import check_can_be_erased, check_reason
from db.patients.patient_key import PatientKey, known_issuers
from db.roles.commands import enqueue_command

PREFIXES = (CommandKind.PATIENT_ERASE.value,)
LONGEST_ID = 64  # characters of the type LO

Issuer = Annotated[str | None, Query(max_length=LONGEST_ID, pattern=NO_NUL)]


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    def _page(request: Request, *, status: int = 200, **context: Any) -> Response:
        shown = {"patient_id": "", "longest_reason": LONGEST_REASON, "commands": shown_commands(database, PREFIXES), **context}
        return page(templates, request, "erasure.html", status_code=status, **shown)

    @routes.get("/patients")
    def plan_page(request: Request, viewer: AsViewer, patient_id: SearchText = "", issuer: Issuer = None) -> Response:
        """Show what would be erased of a person. Nothing is changed."""
        wanted = patient_id.strip()
        if not wanted:
            return _page(request)
        issuers = known_issuers(database, wanted)
        if issuer is None and len(issuers) > 1:
            return _page(request, patient_id=wanted, issuers=issuers)
        named = issuer.strip() if issuer is not None else next(iter(issuers), "")
        return _page(request, patient_id=wanted, **_planned(database, PatientKey(wanted, named), viewer))

    @routes.get("/patients/commands")
    def commands_fragment(request: Request) -> Response:
        """Return the list of commands alone."""
        return commands_reply(request, templates, database, PREFIXES)

    @routes.get("/patients/refused/{command_id}")
    def refused_fragment(request: Request, command_id: RowId) -> Response:
        """Return what the conductor has said of refused data sets; the page asks again until there is an answer."""
        asked = shown_command(database, command_id, CommandKind.PATIENT_REFUSED)
        if asked is None:
            raise HTTPException(404, "there is no such search for refused data sets")
        return page(templates, request, "refused_data_sets.html", refused=RefusedDataSets(count_quarantined(database), asked))

    @routes.post("/patients/erase")
    def erase(request: Request, form: PostedForm, viewer: AsViewer) -> Response:
        """Queue the erasure for the conductor, where the form is complete and nothing forbids it now."""
        patient = PatientKey(_field(form, "patient_id"), _field(form, "issuer"))
        if not patient.patient_id or max(len(patient.patient_id), len(patient.issuer)) > LONGEST_ID:
            return _page(request, status=422, error="The form has no Patient ID: enter it first.")
        try:
            args = _ordered(database, patient, form)
        except NodeError as problem:
            message = str(problem)
            shown = _planned(database, patient, viewer)
            return _page(request, status=422, patient_id=patient.patient_id, error=f"{message[:1].upper()}{message[1:]}.", **shown)
        enqueue_command(database, CommandKind.PATIENT_ERASE, args, viewer.actor)
        return redirect("/patients#commands")

    return routes


def _planned(database: Database, patient: PatientKey, viewer: Viewer) -> dict[str, Any]:
    """Return what the page shows of a person, and ask for refused data sets; the view is an audit event with a keyed reference."""
    plan = plan_erasure(database, patient)
    details = {"from": viewer.address, "patient": patient.reference(database), "studies": len(plan.studies)}
    audit.record_now(database, actor=viewer.actor, action="patient.erasure_planned", subject="patient", details=details)
    refused = find_refused(database, patient, viewer.actor)
    return {"plan": plan, "issuer": patient.issuer, "interrupted": has_open_erasure(database, patient), "refused": refused}


def _ordered(database: Database, patient: PatientKey, form: FormData) -> dict[str, str]:
    """Return the arguments of the command.

    Raises
    ------
    NodeError
        The reason or the confirmation is missing or wrong, or something forbids the erasure now.
    """
    reason = _field(form, "reason")
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise ConfigurationError(f"give a reason of 1 to {LONGEST_REASON} characters on one line: it is kept in the audit trail")
    if _field(form, "confirmation") != patient.patient_id:
        raise ConfigurationError("the typed Patient ID is another one: nothing was erased")
    options = {name: "yes" for name in ("cancel", "whole_studies") if form.get(name)}
    plan: ErasurePlan = plan_erasure(database, patient)
    check_reason(reason, patient.patient_id, plan)
    interrupted = has_open_erasure(database, patient)
    if not plan.is_empty or not count_quarantined(database):  # else refused data sets are looked into by the conductor, who says so too
        check_can_be_erased(plan, interrupted, cancel="cancel" in options, whole_studies="whole_studies" in options)
    subject = patient.reference(database)[:SHOWN_REFERENCE]
    named = {"patient_id": patient.patient_id, **({"issuer": patient.issuer} if patient.issuer else {})}
    return {"subject": subject, "reason": reason, **named, **options}


def _field(form: FormData, name: str) -> str:
    return str(form.get(name, "")).strip()
