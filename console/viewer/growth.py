"""What an open viewer asks about its unit: whether images have arrived or a newer result was made, and a ticket for the present images."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from console.auth.guard import Accounts, AsViewer, SignedIn
from console.auth.replies import page
from console.parameters import RowId, SearchText
from console.viewer.source import ViewerSource
from console.viewer.tickets import Ticket
from db.viewer.unit_growth import open_grown_unit, unit_now
from db.viewer.viewed_unit import units_of_study


def build_router(accounts: Accounts, templates: Jinja2Templates, source: ViewerSource) -> APIRouter:
    """Return the routes by which an open viewer follows its unit."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/viewer/{unit_id}/{ticket}/state")
    def state(unit_id: RowId, ticket: str, session: SignedIn) -> dict[str, Any]:
        """Say whether the unit has other images than those of the ticket; no patient data, so no audit event."""
        checked = source.check(ticket, session.id, unit_id)
        now = unit_now(accounts.database, unit_id, key=checked.key, job_id=checked.related_id or None)
        if now is None:
            raise HTTPException(404, "there is no such series")
        return {"changed": now.changed, "images": now.images, "receiving": now.receiving, "result": now.result, "units": now.units}

    @routes.get("/viewer/{unit_id}/{ticket}/of-study")
    def of_study(request: Request, unit_id: RowId, ticket: str, session: SignedIn) -> Response:
        """Return the list of the series and images of the study alone; opening one of them is the audit event."""
        source.check(ticket, session.id, unit_id)
        return page(templates, request, "units_of_study.html", units=units_of_study(accounts.database, unit_id), shown=unit_id)

    @routes.get("/viewer/{unit_id}/{ticket}/newer")
    def newer(unit_id: RowId, ticket: str, session: SignedIn, viewer: AsViewer, image: SearchText = "") -> dict[str, Any]:
        """Open the present images of the unit: their address, from which the viewer reads on; ``image`` is decoded first.

        That is an audit event. ``covered`` is false where an image of the result was replaced: its outlines would lie on another image.
        """
        checked = source.check(ticket, session.id, unit_id)
        job = checked.related_id or None
        found = open_grown_unit(accounts.database, unit_id, job_id=job, viewer=viewer.actor, address=viewer.address)
        if found is None or found.images.removed:
            raise HTTPException(410, "the images were deleted")
        if not found.covers_shown:
            return {"covered": False}
        source.start(unit_id, found.images, image)
        text = source.sign(Ticket(unit_id, found.images.key, checked.related_id), session.id)
        return {"covered": True, "base": f"/viewer/{unit_id}/{text}", "replaced": found.replaced}

    return routes
