"""The start page: the worklist with search, filters that are kept in the address, and further pages."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page, redirect
from console.parameters import Before, SearchText, read_date
from console.worklist import live
from console.worklist.live_lines import LIVE, Lines, LiveLines, SeenRows
from core.clock import system_clock
from core.states import Outcome, Tier
from core.time_zone import find_zone
from db.accounts.saved_views import saved_views
from db.accounts.sessions import Session
from db.worklist.studies import PAGE, STATES, StudyLine, filter_choices, list_studies
from db.worklist.study import record_list_view
from db.worklist.study_filter import VERDICTS, StudyFilter

FIELDS = ("text", "modality", "model", "outcome", "tier", "finding", "destination", "state", "verdict")
USUAL = (
    ("Verdict open", {"verdict": "open"}),
    ("Failed", {"state": "failed"}),
    ("Not routed", {"state": "not_routed"}),
)
"""Lists that are needed often, by name; beside them stands that of today."""


LINES = "X-Lines"
"""Header of a list that is read again after a change: the hash of its lines."""


def _read_filter(
    text: SearchText = "", modality: SearchText = "", model: SearchText = "", outcome: SearchText = "", tier: SearchText = "",
    finding: SearchText = "", destination: SearchText = "", state: SearchText = "", verdict: SearchText = "", since: str = "",
    until: str = "",
) -> StudyFilter:  # fmt: skip
    values = (text, modality, model, outcome, tier, finding, destination, state, verdict)
    asked: dict[str, Any] = {name: value.strip() for name, value in zip(FIELDS, values, strict=True)}
    return StudyFilter(**asked, since=read_date(since), until=read_date(until))


Wanted = Annotated[StudyFilter, Depends(_read_filter)]


def usual_views(zone: tzinfo = UTC) -> list[tuple[str, str]]:
    """Return name and query of the lists that are needed often; a day is one of ``zone``."""
    today = {"since": system_clock().astimezone(zone).date().isoformat()}
    return [(name, urlencode(asked)) for name, asked in (*USUAL, ("Received today", today))]


def build_router(accounts: Accounts, templates: Jinja2Templates, time_zone: str = "UTC") -> APIRouter:
    """Return the routes of the start page and the worklist; days are those of ``time_zone``."""
    routes = APIRouter(include_in_schema=False)
    database, zone = accounts.database, find_zone(time_zone)
    feed, kept_lines, seen = live.ChangeFeed(database), LiveLines(), SeenRows()
    routes.include_router(live.build_router(feed))

    @routes.get("/")
    def start(request: Request) -> Response:
        """Send users to the worklist, everybody else to sign-in."""
        session: Session | None = request.state.session
        return redirect("/worklist" if session is not None and session.confirmed else "/sign-in")

    def _context(wanted: StudyFilter, studies: list[StudyLine], *, continued: bool) -> dict[str, Any]:
        asked = {name: str(getattr(wanted, name) or "") for name in (*FIELDS, "since", "until")}
        kept = {name: value for name, value in asked.items() if value}
        return {
            "studies": studies,
            "asked": asked,
            "filtered": bool(kept),
            "more": f"/worklist?{urlencode({**kept, 'before': studies[-1].id})}" if len(studies) == PAGE else "",
            "continued": continued,
            "current": urlencode(kept),
        }

    def _record(request: Request, session: Session, studies: Sequence[int]) -> None:
        record_list_view(database, list(studies), viewer=f"user:{session.user.name}", address=client_address(request))
        seen.add(session.id, studies)

    @routes.get("/worklist")
    def worklist(request: Request, session: SignedIn, wanted: Wanted, before: Before = None) -> Response:
        """Show a page of the worklist; htmx asks for the lines alone, and an open worklist for lines that it does not show yet."""
        wanted = replace(wanted, zone=zone)
        if LIVE in request.headers and before is None:
            return _live(request, session, wanted)
        studies = list_studies(database, wanted, before=before)
        _record(request, session, [study.id for study in studies])
        context = _context(wanted, studies, continued=before is not None)
        if request.headers.get("hx-request") == "true":
            return page(templates, request, "worklist_lines.html", **context)
        choices: dict[str, Any] = {**filter_choices(database), "views": saved_views(database, session.user.id), "usual": usual_views(zone)}
        lists: dict[str, Any] = {"states": STATES, "verdicts": VERDICTS, "outcomes": list(Outcome), "tiers": list(Tier)}
        return page(templates, request, "worklist.html", **context, **choices, **lists)

    def _live(request: Request, session: Session, wanted: StudyFilter) -> Response:
        def compute() -> Lines:
            studies = list_studies(database, wanted)
            html = templates.get_template("worklist_lines.html").render(_context(wanted, studies, continued=False), session=session)
            return Lines(html, hashlib.sha256(html.encode()).hexdigest()[:16], tuple(study.id for study in studies))

        lines = kept_lines.get((wanted, session.user.role), feed.changes, compute)
        if not seen.covers(session.id, lines.studies):
            _record(request, session, lines.studies)
        if request.headers[LIVE] == lines.hash:
            return Response(status_code=204)
        return HTMLResponse(lines.html, headers={LINES: lines.hash})

    return routes
