"""The operations page: what needs a person, the state of roles, queues, destinations and routes, and actions on them.

An action is a command: a row that the role that owns it carries out and answers (`db.roles.commands`). It needs a confirmation and a
reason, which is part of the audit event.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from console.auth.guard import Accounts, AsViewer, SignedIn, Viewer
from console.auth.replies import page, redirect
from console.health import disk_usage
from console.operations.command_replies import commands_reply, queue_command
from console.operations.commands import shown_commands
from console.operations.overview import destination_rows, role_rows, route_rows, totals
from console.operations.route_test import FileAnswer, try_routes
from console.parameters import PostedForm
from console.worklist.live_lines import LIVE, SeenRows
from core.errors import NodeError
from core.policy.verdicts import AMENDED_NOTE, WAITING_NOTE
from core.settings.settings import Settings
from core.states import JobState
from db import audit
from db.accounts.sessions import Session
from db.commitment.failed_reports import list_failed_reports
from db.deliveries.giving_up import count_undelivered
from db.listings.deliveries import list_deliveries
from db.listings.jobs import list_jobs_under_way
from db.listings.quarantine import list_quarantined
from db.listings.studies_of_rows import studies_of_rows
from db.listings.unrouted import list_unrouted
from db.operations.command_kinds import ON_MANY, CommandKind
from db.operations.pauses import PauseKind, list_pauses
from db.operations.status import node_status
from db.operations.traffic import open_associations, refused_associations
from db.operations.webhook_notifications import list_unaccepted

MOST = 50
MOST_FILES = 8
KINDS = frozenset(kind for kind in CommandKind if kind not in ON_MANY and not kind.startswith(("model.", "patient.")))
UNDER_WAY = (JobState.QUARANTINED, JobState.FAILED, JobState.RUNNING, JobState.QUEUED)
PREFIXES = ("job.", "unit.", "route.", "destination.", "delivery.", "commitment.", "notification.", "quarantine.", "retention.")


def build_router(accounts: Accounts, templates: Jinja2Templates, current: Callable[[], Settings]) -> APIRouter:
    """Return the routes of the operations page."""
    routes = APIRouter(include_in_schema=False)
    database, seen = accounts.database, SeenRows()

    def _page(request: Request, session: Session, viewer: Viewer, *, status: int = 200, **context: Any) -> Response:
        state, pauses, settings = node_status(database), list_pauses(database), current()
        free, total = disk_usage(settings.node.data_dir)
        with database.reading() as reader:
            unrouted = list_unrouted(reader, since=None, limit=MOST)
            jobs = list_jobs_under_way(reader, UNDER_WAY, limit=MOST)
            deliveries = [row for name in ("held", "failed") for row in list_deliveries(reader, state=name, limit=MOST)]
            waiting = list_deliveries(reader, state="pending", limit=MOST)
            associations, refusals = open_associations(reader, MOST), refused_associations(reader, MOST)
            quarantined = list_quarantined(reader, MOST)
            studies = studies_of_rows(reader, [*chain.from_iterable(jobs.values()), *deliveries, *waiting, *unrouted])
        units = [int(row["unit_id"]) for row in unrouted]
        if units and not (LIVE in request.headers and seen.covers(session.id, units)):
            details = {"from": viewer.address, "ids": units}
            seen.add(session.id, units)
            audit.record_now(database, actor=viewer.actor, action="units.viewed", subject="units", details=details)
        shown: dict[str, Any] = {
            "state": state,
            "commands": shown_commands(database, PREFIXES),
            "roles": role_rows(state),
            "destinations": destination_rows(settings, state, pauses, count_undelivered(database)),
            "routes": route_rows(settings, pauses),
            "paused_routes": {one.name for one in pauses if one.kind is PauseKind.ROUTE},
            "disk": (free, total, settings.receive.min_free_bytes),
            "associations": associations,
            "refusals": refusals,
            "failed": [*jobs[JobState.QUARANTINED], *jobs[JobState.FAILED]],
            "running": jobs[JobState.RUNNING],
            "queued": jobs[JobState.QUEUED],
            "deliveries": deliveries,
            "waiting": waiting,
            "quarantine": quarantined,
            "unrouted": unrouted,
            "studies": studies,
            "reports": list_failed_reports(database, limit=MOST),
            "notifications": list_unaccepted(database, limit=MOST),
            "has_webhook": bool(settings.webhook.url),
            "most": MOST,
            "totals": totals(state),
            "waiting_note": WAITING_NOTE,
            "amended_note": AMENDED_NOTE,
            **context,
        }
        return page(templates, request, "operations.html", status_code=status, **shown)

    @routes.get("/operations")
    def operations_page(request: Request, session: SignedIn, viewer: AsViewer) -> Response:
        """Show what needs a person, and the state of the node; the view of accession numbers is an audit event.

        An open page reads itself again: that is one where it shows a unit that the session has not been recorded to have seen.
        """
        return _page(request, session, viewer)

    @routes.get("/operations/commands")
    def commands_fragment(request: Request) -> Response:
        """Return the list of commands alone."""
        return commands_reply(request, templates, database, PREFIXES)

    @routes.post("/operations/commands")
    def act(request: Request, form: PostedForm, session: SignedIn, viewer: AsViewer) -> Response:
        """Queue a command for the role that owns it."""
        if problem := queue_command(form, database, session, KINDS):
            return _page(request, session, viewer, status=422, error=problem)
        return redirect("/operations#commands")

    @routes.post("/operations/route-test")
    async def test_routes(request: Request, session: SignedIn, viewer: AsViewer) -> Response:
        """Say which routes would select the files of the form. Nothing is stored."""
        form = await request.form()
        files = [item for item in form.getlist("file") if isinstance(item, UploadFile) and item.filename][:MOST_FILES]
        source = str(form.get("source", "")).strip()[:16]
        read = [(item.filename or "file", await item.read()) for item in files]
        await form.close()

        def answer() -> list[FileAnswer]:
            found = []
            for name, content in read:
                try:
                    found.append(try_routes(current().routes, name, content, source))
                except NodeError as error:
                    found.append(FileAnswer(name, str(error)))
            return found

        found = await run_in_threadpool(answer)
        if request.headers.get("hx-request") == "true":
            return page(templates, request, "operations_route_test.html", answers=found)
        return await run_in_threadpool(lambda: _page(request, session, viewer, answers=found))

    return routes
