"""The dashboard of the last days, for all models or one."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates

from console.auth.guard import Accounts
from console.auth.replies import page
from console.dashboard.charts import BOTTOM, HEIGHT, LEFT, WIDTH, queue_times, result_bars, result_times, tier_bars
from console.dashboard.figures import KeptFigures
from console.parameters import SearchText
from core.settings.settings import Settings
from core.time_zone import find_zone
from db.dashboard import BY_DAY, BY_WEEK, RESULTS, TIERS
from db.worklist.studies import filter_choices

PERIODS = (7, 14, 30, 90)


def build_router(accounts: Accounts, templates: Jinja2Templates, current: Callable[[], Settings]) -> APIRouter:
    """Return the route of the dashboard; days are those of ``console.time_zone``."""
    routes = APIRouter(include_in_schema=False)
    kept = KeptFigures(accounts.database, find_zone(current().console.time_zone))

    @routes.get("/dashboard")
    def dashboard(request: Request, days: int = 14, model: SearchText = "", by: str = BY_DAY, route: SearchText = "") -> Response:
        """Show the figures; counts only, no patient data."""
        period = days if days in PERIODS else 14
        by = by if by in (BY_DAY, BY_WEEK) else BY_DAY
        names = [one.name for one in current().routes]
        route = route if route in names else ""
        figures = kept.read(days=period, model=model, by=by, route=route)
        context: dict[str, Any] = {
            "figures": figures,
            "results": [name for name in RESULTS if any(day.results.get(name) for day in figures.days)],
            "tiers": [name for name in TIERS if any(day.tiers.get(name) for day in figures.days)],
            "bar_charts": {"results": result_bars(figures.days), "tiers": tier_bars(figures.days)},
            "time_charts": {"result": result_times(figures.days), "queue": queue_times(figures.days)},
            "by": by,
            "route": route,
            "routes": names,
            "size": (WIDTH, HEIGHT, LEFT, HEIGHT - BOTTOM),
            "periods": PERIODS,
            "period": period,
            "model": model,
            "models": filter_choices(accounts.database)["models"],
        }
        return page(templates, request, "dashboard.html", **context)

    return routes
