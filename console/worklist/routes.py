"""The start page: the worklist with search, filters that are kept in the address, and further pages."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page, redirect
from console.parameters import Before, SearchText, read_date
from core.states import Outcome, Tier
from db.accounts.saved_views import saved_views
from db.accounts.sessions import Session
from db.worklist.studies import PAGE, STATES, VERDICTS, StudyFilter, filter_choices, list_studies
from db.worklist.study import record_list_view

FIELDS = ("text", "modality", "model", "outcome", "tier", "finding", "destination", "state", "verdict")


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the routes of the start page and the worklist."""
    routes = APIRouter(include_in_schema=False)
    database = accounts.database

    @routes.get("/")
    def start(request: Request) -> Response:
        """Send users to the worklist, everybody else to sign-in."""
        session: Session | None = request.state.session
        return redirect("/worklist" if session is not None and session.confirmed else "/sign-in")

    @routes.get("/worklist")
    def worklist(
        request: Request, session: SignedIn, text: SearchText = "", modality: SearchText = "", model: SearchText = "",
        outcome: SearchText = "", tier: SearchText = "", finding: SearchText = "", destination: SearchText = "", state: SearchText = "",
        verdict: SearchText = "", since: str = "", until: str = "", before: Before = None,
    ) -> Response:  # fmt: skip
        """Show a page of the worklist; htmx asks for the lines alone."""
        asked = {
            name: value.strip()
            for name, value in zip(FIELDS, (text, modality, model, outcome, tier, finding, destination, state, verdict), strict=False)
        }
        wanted = StudyFilter(**asked, since=read_date(since), until=read_date(until))
        studies = list_studies(database, wanted, before=before)
        viewer = f"user:{session.user.name}"
        record_list_view(database, [study.id for study in studies], viewer=viewer, address=client_address(request))
        asked |= {"since": since if wanted.since else "", "until": until if wanted.until else ""}
        kept = {name: value for name, value in asked.items() if value}
        context: dict[str, Any] = {
            "studies": studies,
            "asked": asked,
            "filtered": bool(kept),
            "more": f"/worklist?{urlencode({**kept, 'before': studies[-1].id})}" if len(studies) == PAGE else "",
            "continued": before is not None,
        }
        if request.headers.get("hx-request") == "true":
            return page(templates, request, "worklist_lines.html", **context)
        choices: dict[str, Any] = {**filter_choices(database), "views": saved_views(database, session.user.id), "current": urlencode(kept)}
        lists: dict[str, Any] = {"states": STATES, "verdicts": VERDICTS, "outcomes": list(Outcome), "tiers": list(Tier)}
        return page(templates, request, "worklist.html", **context, **choices, **lists)

    return routes
