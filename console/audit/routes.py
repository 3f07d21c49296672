"""The audit page for auditors: search the trail, verify the chain, export events, and see who had access to a patient's data."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page
from db import audit
from db.audit_search import PAGE, AuditFilter, export_events, known_actions, last_verified, patient_access, search_events

COLUMNS = ("event_id", "at", "actor", "action", "subject", "details", "chain_seq", "chain_hash")
FORMULA = ("=", "+", "-", "@", "\t", "\r")

Text = Annotated[str, Query(max_length=200)]


def _date(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _cell(value: Any) -> str:
    """Return a CSV cell that no spreadsheet takes for a formula."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _csv(rows: Iterator[Any]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, name)) for name in COLUMNS])
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def _json(rows: Iterator[Any]) -> Iterator[str]:
    separator = "["
    for row in rows:
        yield separator + json.dumps({name: getattr(row, name) for name in COLUMNS}, ensure_ascii=False, default=str)
        separator = ",\n"
    yield "]" if separator != "[" else "[]"


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of the audit page."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    def _page(request: Request, wanted: AuditFilter, before: int | None, **context: Any) -> Response:
        asked = {name: str(getattr(wanted, name) or "") for name in ("actor", "action", "subject", "since", "until")}
        kept = {name: value for name, value in asked.items() if value}
        events = search_events(database, wanted, before=before)
        shown = {
            "events": events,
            "asked": asked,
            "query": urlencode(kept),
            "more": f"/audit?{urlencode({**kept, 'before': events[-1].event_id})}" if len(events) == PAGE else "",
            "actions": known_actions(database),
            "verified_at": last_verified(database),
            **context,
        }
        return page(templates, request, "audit.html", **shown)

    @routes.get("/audit")
    def audit_page(
        request: Request,
        actor: Text = "",
        action: Text = "",
        subject: Text = "",
        since: str = "",
        until: str = "",
        before: int | None = None,
    ) -> Response:
        """Show events, the newest first."""
        return _page(request, AuditFilter(actor.strip(), action.strip(), subject.strip(), _date(since), _date(until)), before)

    @routes.post("/audit/verify")
    def verify(request: Request, session: SignedIn) -> Response:
        """Walk the chain from its first event; the result is an audit event."""
        found = audit.verify(database)
        details = {"events": found.events, "chained": found.chained, "broken": found.broken}
        audit.record_now(database, actor=f"user:{session.user.name}", action="audit.verified", subject="audit", details=details)
        return _page(request, AuditFilter(), None, check=found)

    @routes.get("/audit/export")
    def export(
        request: Request, session: SignedIn, format: str = "csv", actor: Text = "", action: Text = "", subject: Text = "", since: str = "",
        until: str = "",
    ) -> Response:  # fmt: skip
        """Send every event that passes the filter, as CSV or JSON."""
        wanted = AuditFilter(actor.strip(), action.strip(), subject.strip(), _date(since), _date(until))
        rows = export_events(database, wanted, actor=f"user:{session.user.name}", address=client_address(request))
        as_json = format == "json"
        name = f"audit.{'json' if as_json else 'csv'}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(
            _json(rows) if as_json else _csv(rows), media_type="application/json" if as_json else "text/csv", headers=headers
        )

    @routes.get("/audit/patient")
    def access_report(request: Request, session: SignedIn, patient_id: Text = "") -> Response:
        """Show who has viewed and who has received the data of one patient."""
        found = None
        if patient_id.strip():
            viewer = f"user:{session.user.name}"
            found = patient_access(database, patient_id.strip(), actor=viewer, address=client_address(request))
        return page(templates, request, "patient_access.html", patient_id=patient_id.strip(), found=found)

    return routes
