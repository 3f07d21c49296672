"""HTML pages. There is one, with the state of the node: it holds no patient data and needs no sign-in."""

from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from console.api import status_response
from console.health import CONSOLE, ROLES, NodeSnapshot
from core.states import DeliveryState, JobState

FOLDER = Path(__file__).parent


def age(seconds: float | None) -> str:
    """Return a duration in its two largest units: ``75.2`` as ``1 min 15 s``."""
    if seconds is None:
        return "unknown"
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


def size(count: int | None) -> str:
    """Return a number of bytes in binary units."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def router(read_snapshot: Callable[[], NodeSnapshot], ae_title: str) -> APIRouter:
    """Return the route of the page at ``/``."""
    routes = APIRouter()
    templates = Jinja2Templates(directory=FOLDER / "templates")
    templates.env.filters.update(age=age, size=size)

    @routes.get("/", include_in_schema=False, response_class=HTMLResponse)
    def home(request: Request) -> HTMLResponse:
        """Return the status page."""
        status = status_response(read_snapshot(), ae_title)
        context = {
            "status": status,
            "roles": [(role, [process for process in status.roles if process.role == role]) for role in (*ROLES, CONSOLE)],
            "job_states": list(JobState),
            "delivery_states": list(DeliveryState),
        }
        return templates.TemplateResponse(request, "status.html", context)

    return routes
