"""The audit page for auditors: search the trail, verify the chain, export events, and see who had access to a patient's data."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.templating import Jinja2Templates

from console.audit.downloads import EVENT_COLUMNS, download
from console.auth.guard import Accounts, AsViewer
from console.auth.replies import page
from console.parameters import NO_NUL, Before, SearchText, read_date
from core.settings.settings import Settings
from db.anchor.anchor_key import public_key_file
from db.anchor.anchor_state import last_anchor
from db.audit_filter import AuditFilter
from db.audit_search import PAGE, export_events, known_actions, last_verification, search_events, verify_chain
from db.patient_access import patient_access

USUAL = (
    ("People", {"actor": "user:"}),
    ("Views of studies", {"action": "study.viewed"}),
    ("Images opened", {"action": "viewer.opened"}),
    ("Results", {"action": "job.reported"}),
    ("Deliveries", {"action": "delivery."}),
    ("Verdicts", {"action": "verdict."}),
    ("Models", {"action": "model."}),
    ("Sign-ins", {"action": "session.opened"}),
    ("Failed sign-ins", {"action": "sign_in.failed"}),
)
"""Searches that auditors need often, by name."""

FIELDS = ("actor", "action", "subject", "patient_id", "study", "object", "since", "until")


def _read_filter(
    actor: SearchText = "", action: SearchText = "", subject: SearchText = "", patient_id: SearchText = "", study: SearchText = "",
    object: SearchText = "", since: str = "", until: str = "",
) -> AuditFilter:  # fmt: skip
    about = {"patient_id": patient_id.strip(), "study": study.strip(), "object": object.strip()}
    return AuditFilter(actor.strip(), action.strip(), subject.strip(), **about, since=read_date(since), until=read_date(until))


Wanted = Annotated[AuditFilter, Depends(_read_filter)]
Issuer = Annotated[str | None, Query(max_length=64, pattern=NO_NUL)]


def build_router(accounts: Accounts, templates: Jinja2Templates, settings: Settings) -> APIRouter:
    """Return the routes of the audit page."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database
    anchors = (settings.anchor_file, public_key_file(settings.anchor_key))

    def _page(request: Request, wanted: AuditFilter, before: int | None, **context: Any) -> Response:
        asked = {name: str(getattr(wanted, name) or "") for name in FIELDS}
        kept = {name: value for name, value in asked.items() if value}
        events = search_events(database, wanted, before=before)
        shown = {
            "events": events,
            "asked": asked,
            "query": urlencode(kept),
            "usual": [(label, urlencode(values)) for label, values in USUAL],
            "more": f"/audit?{urlencode({**kept, 'before': events[-1].event_id})}" if len(events) == PAGE else "",
            "actions": known_actions(database),
            "verified": last_verification(database),
            "anchor": last_anchor(database),
            **context,
        }
        return page(templates, request, "audit.html", **shown)

    @routes.get("/audit")
    def audit_page(request: Request, wanted: Wanted, before: Before = None) -> Response:
        """Show events, the newest first."""
        return _page(request, wanted, before)

    @routes.post("/audit/verify")
    def verify(request: Request, viewer: AsViewer) -> Response:
        """Walk the chain from its first event; the result is an audit event."""
        return _page(request, AuditFilter(), None, check=verify_chain(database, *anchors, actor=viewer.actor))

    @routes.get("/audit/export")
    def export(wanted: Wanted, viewer: AsViewer, format: str = "csv") -> Response:
        """Send every event that passes the filter, as CSV or JSON."""
        rows = export_events(database, wanted, actor=viewer.actor, address=viewer.address)
        return download("audit", EVENT_COLUMNS, rows, as_json=format == "json")

    @routes.get("/audit/patient")
    def access_report(request: Request, viewer: AsViewer, patient_id: SearchText = "", issuer: Issuer = None) -> Response:
        """Show who has viewed and who has received the data of one patient."""
        wanted, found = patient_id.strip(), None
        if wanted:
            named = None if issuer is None else issuer.strip()
            found = patient_access(database, wanted, issuer=named, actor=viewer.actor, address=viewer.address)
        return page(templates, request, "patient_access.html", patient_id=wanted, found=found)

    return routes
