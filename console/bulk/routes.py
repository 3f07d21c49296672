"""The pages of actions on many rows: a selection, what would be done, then a reason and a command. The page itself changes nothing."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts, AsViewer
from console.auth.replies import page, redirect
from console.bulk.bulk_action import BulkAction
from console.bulk.delivery_actions import ReportAction, ResendAction, RetryAction
from console.bulk.intake_actions import ReceiveAction, RouteAction
from console.bulk.job_actions import RequeueAction, RerunAction
from console.bulk.retention_action import RetentionAction
from console.bulk.selection_form import read_value
from console.formats import format_error
from console.operations.commands import LONGEST_REASON, LONGEST_SUBJECT, WrongCommand, check_command_reason
from console.parameters import PostedForm
from core.errors import ConfigurationError
from core.settings.settings import Settings
from db.engine import Database
from db.listings.studies_of_rows import studies_of_rows
from db.roles.command_runner import MOST_DIGITS
from db.roles.commands import enqueue_command

ACTIONS: tuple[type[BulkAction], ...] = (
    RequeueAction,
    RetryAction,
    ResendAction,
    RerunAction,
    ReceiveAction,
    RouteAction,
    ReportAction,
    RetentionAction,
)
NUMBERS = ("last", "count")
OTHER_FORM = "The form does not name the rows that were shown: open the page again."


def build_router(accounts: Accounts, templates: Jinja2Templates, current: Callable[[], Settings]) -> APIRouter:
    """Return two routes for each action: its page, and the form that asks for the command."""
    routes = APIRouter(include_in_schema=False)
    for action in ACTIONS:
        _add_routes(routes, action(accounts.database, current), accounts.database, templates)
    return routes


def _add_routes(routes: APIRouter, action: BulkAction, database: Database, templates: Jinja2Templates) -> None:
    def _page(request: Request, form: Mapping[str, str], *, status: int = 200, error: str = "") -> Response:
        args: dict[str, str] = {}
        shown: dict[str, Any] = {"preview": None, "fields": []}
        try:
            shown["fields"] = action.fields(form)
            args = action.read(form)
            shown["preview"] = action.preview(args)
        except (ConfigurationError, WrongCommand) as problem:
            status, error = 422, error or format_error(problem)
        rows = [{"study_instance_uid": row.study_instance_uid} for row in (shown["preview"].rows if shown["preview"] else ())]
        shown |= {"studies": studies_of_rows(database, rows), "hidden": args, "longest_reason": LONGEST_REASON}
        return page(templates, request, "bulk.html", status_code=status, action=action, error=error, **shown)

    def show(request: Request) -> Response:
        """Show what the command would do with the selected rows. Nothing is changed."""
        return _page(request, request.query_params)

    def ask(request: Request, form: PostedForm, viewer: AsViewer) -> Response:
        """Queue the command for the role that owns it."""
        given = {name: str(value) for name, value in form.items()}
        try:
            args = {**action.read(given), **{name: _number(given, name) for name in NUMBERS}}
            args |= {"subject": _subject(given), "reason": check_command_reason(given.get("reason", "").strip())}
        except (ConfigurationError, WrongCommand) as problem:
            return _page(request, given, status=422, error=format_error(problem))
        enqueue_command(database, action.kind, {name: value for name, value in args.items() if value}, viewer.actor)
        return redirect("/operations#commands")

    routes.add_api_route(action.path, show, methods=["GET"])
    routes.add_api_route(action.path, ask, methods=["POST"])


def _subject(form: Mapping[str, str]) -> str:
    """Return what the command is for, in the words of the page that showed it."""
    value = read_value(form, "subject")
    if not 1 <= len(value) <= LONGEST_SUBJECT or not value.isprintable():
        raise WrongCommand(OTHER_FORM)
    return value


def _number(form: Mapping[str, str], name: str) -> str:
    """Return a hidden number of the form; "" where the form lacks it."""
    value = read_value(form, name)
    if value and not (value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS):
        raise WrongCommand(OTHER_FORM)
    return value
