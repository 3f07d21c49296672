"""The status page: the state of the node as counts, without patient data and therefore without sign-in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from console.api.health_routes import status_response
from console.auth.replies import page
from console.health import CONSOLE, ROLES, NodeSnapshot
from core.states import DeliveryState, JobState

FOLDER = Path(__file__).parent


def router(read_snapshot: Callable[[], NodeSnapshot], ae_title: str, templates: Jinja2Templates) -> APIRouter:
    """Return the route of the status page."""
    routes = APIRouter()

    @routes.get("/status", include_in_schema=False, response_class=HTMLResponse)
    def status_page(request: Request) -> HTMLResponse:
        """Return the status page."""
        status = status_response(read_snapshot(), ae_title)
        context: dict[str, Any] = {
            "status": status,
            "roles": [(role, [process for process in status.roles if process.role == role]) for role in (*ROLES, CONSOLE)],
            "job_states": list(JobState),
            "delivery_states": list(DeliveryState),
        }
        return page(templates, request, "status.html", **context)

    return routes
