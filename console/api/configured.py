"""Routes and destinations of the configuration under /api/v1, with their pauses and what waits for them."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter
from pydantic import Field

from console.api.description import API_ROUTES
from console.api.replies.study_resources import Resource
from console.auth.guard import Accounts
from console.operations.overview import destination_rows, route_rows
from core.settings.settings import Settings
from db.deliveries.giving_up import count_undelivered
from db.operations.pauses import list_pauses
from db.operations.status import node_status


class PauseResource(Resource):
    """Who paused a route or destination, when and why."""

    reason: str
    actor: str
    since: datetime


class RouteEntry(Resource):
    """A route. One that is paused and no longer configured has an empty sentence."""

    name: str
    sentence: str = Field(description="What it selects and does, in words")
    pause: PauseResource | None


class DestinationEntry(Resource):
    """A destination, also one that only deliveries or a pause name (``configured`` is false then)."""

    name: str
    address: str
    objects: str = Field(description="Kinds of objects that it receives")
    configured: bool
    away_s: float = Field(description="Seconds since it answered last, 0 while it does")
    pause: PauseResource | None
    deliveries: dict[str, int] = Field(description="Number of deliveries by state")


def build_router(accounts: Accounts, current: Callable[[], Settings]) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1", tags=["operations"], **API_ROUTES)

    @routes.get("/routes", summary="Routes as sentences, with their pauses")
    def configured_routes() -> list[RouteEntry]:
        """Return the routes in the order of the configuration."""
        return [RouteEntry.model_validate(row) for row in route_rows(current(), list_pauses(accounts.database))]

    @routes.get("/destinations", summary="Destinations, with their pauses and deliveries")
    def destinations() -> list[DestinationEntry]:
        """Return the destinations in the order of the configuration."""
        state, pauses = node_status(accounts.database), list_pauses(accounts.database)
        undelivered = count_undelivered(accounts.database)
        return [DestinationEntry.model_validate(row) for row in destination_rows(current(), state, pauses, undelivered)]

    return routes
