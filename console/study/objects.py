"""Result objects as people read them: the text of a report, the picture of a heat map, the PDF."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page, redirect
from console.parameters import RowId
from console.viewer.render_object import DOCUMENT
from console.viewer.render_unit import PICTURE
from console.viewer.source import ViewerSource
from console.viewer.tickets import Ticket
from core.states import ResultKind
from db.accounts.sessions import Session
from db.worklist.study import StoredResultObject, find_result_object, record_object

WAIT_S = 60.0
REMOVED = "The file of this object has been deleted by the node's retention, after every destination had it. Its hash remains."
SLOW = "Reading the object takes longer than usual. Reload the page in a moment."
CONTENT = {"picture": (PICTURE, "image/png"), "pdf": (DOCUMENT, "application/pdf")}
FRAGMENT = ("x-fragment", "object")


def build_router(accounts: Accounts, templates: Jinja2Templates, source: ViewerSource) -> APIRouter:
    """Return the routes that show result objects."""
    routes = APIRouter(include_in_schema=False)

    async def _record_view(found: StoredResultObject, session: Session, request: Request) -> None:
        viewer, address = f"user:{session.user.name}", client_address(request)
        await run_in_threadpool(record_object, accounts.database, found, "viewed", viewer=viewer, address=address)

    @routes.get("/objects/{object_id}/view")
    async def show(request: Request, object_id: RowId, session: SignedIn) -> Response:
        """Show a result object, read in a render process; the view is an audit event. With ``X-Fragment: object`` without heading."""
        found = await run_in_threadpool(find_result_object, accounts.database, object_id)
        if found is None:
            raise HTTPException(404, "there is no such object")
        await _record_view(found, session, request)
        problem, meta = REMOVED, None
        if found.removed_at is not None:
            source.pool.cache.remove_unit(found.unit_id)
        else:
            rendering = await run_in_threadpool(source.start_object, found.unit_id, found.sha256)
            problem = rendering.failure if await rendering.wait_until_finished(WAIT_S) else SLOW
            meta = None if problem else rendering.meta
        ticket = source.sign(Ticket(object_id, found.sha256[:32], found.unit_id, "object"), session.id)
        template = "object_content.html" if request.headers.get(FRAGMENT[0]) == FRAGMENT[1] else "object.html"
        shown: dict[str, Any] = {
            "id": object_id,
            "found": found,
            "meta": meta,
            "problem": problem,
            "content": f"/objects/{object_id}/{ticket}/content",
        }
        return page(templates, request, template, **shown)

    @routes.get("/objects/{object_id}/pdf")
    async def pdf(object_id: RowId, request: Request, session: SignedIn) -> Response:
        """Send the browser to the PDF itself, in one step; the view is an audit event."""
        found = await run_in_threadpool(find_result_object, accounts.database, object_id)
        if found is None or found.kind != ResultKind.PDF or found.removed_at is not None:
            raise HTTPException(404, "there is no such PDF, or retention has deleted it")
        await _record_view(found, session, request)
        rendering = await run_in_threadpool(source.start_object, found.unit_id, found.sha256)
        if not await rendering.wait_until_finished(WAIT_S) or rendering.failure:
            raise HTTPException(503, rendering.failure or SLOW)
        ticket = source.sign(Ticket(object_id, found.sha256[:32], found.unit_id, "object"), session.id)
        return redirect(f"/objects/{object_id}/{ticket}/content")

    @routes.get("/objects/{object_id}/{ticket}/content")
    def content(object_id: RowId, ticket: str, session: SignedIn) -> Response:
        """Send the picture or the PDF of an object whose view was opened."""
        checked = source.check(ticket, session.id, object_id, "object")
        rendering = source.find_object(checked)
        kind = None if rendering is None or rendering.meta is None else CONTENT.get(rendering.meta["shown"])
        if rendering is None or kind is None:
            raise HTTPException(404, "open the object anew")
        name, media_type = kind
        return FileResponse(rendering.folder / name, media_type=media_type, filename=name, content_disposition_type="inline")

    return routes
