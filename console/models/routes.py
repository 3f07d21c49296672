"""The models page: which versions there are and serve, how they perform by verdicts, and commands that change which one serves."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.access import OPERATORS, UserRole
from console.auth.guard import Accounts, SignedIn
from console.auth.replies import page, redirect
from console.models import charts
from console.models.figures import COMPARED_UNITS, KeptModelFigures
from console.models.versions import VersionRow, model_names, version_rows
from console.operations.command_replies import commands_reply, queue_command
from console.operations.commands import shown_commands
from console.parameters import PostedForm
from core.settings.settings import Settings
from core.time_zone import find_zone
from db.operations.command_kinds import CommandKind
from db.operations.drift import weekly_statistics
from db.operations.model_performance import read_abstentions, studies_of_jobs
from models import installed

KINDS = frozenset(kind for kind in CommandKind if kind.startswith("model."))
MOST_DIFFERING = 20
DRIFT_WEEKS = 8


def build_router(accounts: Accounts, templates: Jinja2Templates, settings: Settings) -> APIRouter:
    """Return the routes of the models page; weeks are those of ``console.time_zone``."""
    routes = APIRouter(include_in_schema=False)
    database, folder = accounts.database, settings.node.data_dir / installed.FOLDER
    zone = find_zone(settings.console.time_zone)
    kept = KeptModelFigures(database, zone)

    def _overview(request: Request, *, status: int = 200, error: str = "") -> Response:
        rows = {name: version_rows(database, name, folder) for name in model_names(database, folder)}
        return page(
            templates, request, "models.html", status_code=status, models=rows, error=error, commands=shown_commands(database, ("model.",))
        )

    @routes.get("/models")
    def models_page(request: Request) -> Response:
        """Show a card for each model."""
        return _overview(request)

    @routes.get("/models/commands")
    def commands_fragment(request: Request) -> Response:
        """Return the list of commands alone."""
        return commands_reply(request, templates, database, ("model.",))

    @routes.post("/models/commands")
    def act(request: Request, form: PostedForm, session: SignedIn) -> Response:
        """Queue a command on a model for the conductor."""
        if problem := queue_command(form, database, session, KINDS):
            return _overview(request, status=422, error=problem)
        return redirect("/models")

    @routes.get("/models/{name}")
    def model_page(request: Request, name: str, session: SignedIn) -> Response:
        """Show one model: versions, shadows, performance, drift."""
        if name not in model_names(database, folder):
            return page(templates, request, "message.html", status_code=404, heading="Unknown model", message="No model has this name.")
        rows = version_rows(database, name, folder)
        return page(templates, request, "model.html", **_context(name, rows), may_act=UserRole(session.user.role) in OPERATORS)

    def _context(name: str, rows: list[VersionRow]) -> dict[str, Any]:
        active = next((row for row in rows if row.state == "active"), rows[0])
        performance, abstained = kept.performance(name, active.digest), read_abstentions(database, name, zone)
        shadows = kept.shadows(name)
        differing = [id for row in shadows for id in row["differing_jobs"][-MOST_DIFFERING:]]
        references = {row.digest: row.card.reference for row in rows if row.card is not None}
        drift = weekly_statistics(database, model=name, references=references)
        weeks = sorted({row["week"] for row in drift})[-DRIFT_WEEKS:]
        return {
            "name": name,
            "card": active.card,
            "versions": rows,
            "commands": shown_commands(database, ("model.",)),
            "performance": performance,
            "acceptance": charts.share_marks([(one.name, one.acceptance) for one in performance.by_week]),
            "abstained": abstained,
            "abstentions": charts.share_marks(abstained),
            "calibration": charts.calibration_marks(performance.calibration),
            "size": (charts.WIDTH, charts.HEIGHT, charts.LEFT, charts.HEIGHT - charts.BOTTOM, charts.TOP),
            "square": (charts.SQUARE, charts.MARGIN),
            "shadows": shadows,
            "most_differing": MOST_DIFFERING,
            "compared_units": COMPARED_UNITS,
            "studies": studies_of_jobs(database, differing),
            "drift": [row for row in reversed(drift) if row["week"] in weeks],
        }

    return routes
