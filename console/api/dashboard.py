"""Figures of the dashboard under /api/v1: counts, no patient data."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from console.api.description import API_ROUTES
from console.api.replies.study_resources import Resource
from console.auth.guard import Accounts
from console.parameters import SearchText
from db.dashboard import read_figures

Days = Annotated[int, Query(ge=1, le=366, description="Days until today (UTC).")]


class DayEntry(Resource):
    """One day or week: jobs by result, findings by tier; seconds to the result and in the queue (median and 95th percentile)."""

    day: date
    results: dict[str, int]
    p50_s: float | None
    p95_s: float | None
    tiers: dict[str, int]
    queue_p50_s: float | None
    queue_p95_s: float | None


class DashboardFigures(Resource):
    """Days from the oldest to today, without gaps, and findings by tier over all of them."""

    days: list[DayEntry]
    tiers: dict[str, int]


def build_router(accounts: Accounts) -> APIRouter:
    """Return the route."""
    routes = APIRouter(prefix="/api/v1", tags=["results"], **API_ROUTES)

    @routes.get("/dashboard", summary="Figures by day or week")
    def dashboard(days: Days = 14, model: SearchText = "", by: Literal["day", "week"] = "day", route: SearchText = "") -> DashboardFigures:
        """Return the figures of the last days by day or week, of one model and route or of all."""
        return DashboardFigures.model_validate(read_figures(accounts.database, days=days, model=model, by=by, route=route))

    return routes
