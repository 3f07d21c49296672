"""The dashboard of the last days, for all models or one."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts
from console.auth.replies import page
from console.dashboard.charts import BOTTOM, HEIGHT, LEFT, WIDTH, result_bars, time_lines
from console.dashboard.figures import KeptFigures
from db.dashboard import RESULTS
from db.worklist.studies import filter_choices

PERIODS = (7, 14, 30, 90)


def build_router(accounts: Accounts, templates: Jinja2Templates) -> APIRouter:
    """Return the route of the dashboard."""
    routes = APIRouter(include_in_schema=False)
    kept = KeptFigures(accounts.database)

    @routes.get("/dashboard")
    def dashboard(request: Request, days: int = 14, model: str = "") -> Response:
        """Show the figures; counts only, no patient data."""
        period = days if days in PERIODS else 14
        figures = kept.read(days=period, model=model)
        bars, bar_axis = result_bars(figures.days)
        p50, p95, dots, time_axis = time_lines(figures.days)
        context: dict[str, Any] = {
            "figures": figures,
            "results": [name for name in RESULTS if any(day.results.get(name) for day in figures.days)],
            "bars": bars,
            "bar_axis": bar_axis,
            "p50": p50,
            "p95": p95,
            "dots": dots,
            "time_axis": time_axis,
            "size": (WIDTH, HEIGHT, LEFT, HEIGHT - BOTTOM),
            "periods": PERIODS,
            "period": period,
            "model": model,
            "models": filter_choices(accounts.database)["models"],
        }
        return page(templates, request, "dashboard.html", **context)

    return routes
