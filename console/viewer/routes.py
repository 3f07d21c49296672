"""The page of the viewer, and the data that its scripts read: description, slices, photograph, outlines and heat map."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.templating import Jinja2Templates
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from console.auth.guard import Accounts, SignedIn, client_address
from console.auth.replies import page
from console.parameters import RowId
from console.viewer import growth
from console.viewer.comparison import shown_comparisons, shown_earlier_results
from console.viewer.page_data import first_image, page_data
from console.viewer.rendered_unit import RenderedUnit
from console.viewer.source import ViewerSource
from console.viewer.tickets import Ticket
from core.policy.priors.same_patient import left_out_in_words
from core.policy.priors.sentences import nothing_earlier
from db.viewer.viewed_unit import UnitImages, find_overlays, open_unit

WAIT_S = 20.0
SLICE = "X-Slice"
"""Header with the index of the first of the slices in an answer."""
MOST_SLICES = 16
REMOVED = (
    "The images of this series have been deleted by the node's retention, after every destination had the result. "
    "The results and the audit trail remain. To look at the images, open the study in the PACS."
)


def build_router(accounts: Accounts, templates: Jinja2Templates, source: ViewerSource) -> APIRouter:
    """Return the routes of the viewer."""
    routes = APIRouter(include_in_schema=False)
    routes.include_router(growth.build_router(accounts, templates, source))

    @routes.get("/viewer/{unit_id}")
    def viewer_page(request: Request, unit_id: RowId, session: SignedIn, job: int | None = None, finding: int | None = None) -> Response:
        """Open the viewer on a unit; that is one audit event, whatever is then scrolled through."""
        viewer = f"user:{session.user.name}"
        unit = open_unit(accounts.database, unit_id, job_id=job, viewer=viewer, address=client_address(request))
        if unit is None:
            raise HTTPException(404, "there is no such series, or the result is not one of it")
        problem, meta = "", None
        if unit.images.removed:
            source.pool.cache.remove_unit(unit_id)
            problem = REMOVED
        elif not unit.images.hashes:
            problem = "The node holds no image of this series."
        else:
            meta = describe(source.start(unit_id, unit.images, first_image(unit, finding)), unit.images)
        ticket = source.sign(Ticket(unit_id, unit.images.key, unit.job.id if unit.job else 0), session.id)
        data = page_data(unit, ticket, finding, problem) | {"meta": meta, "first": first_slice(meta, first_image(unit, finding))}
        shown: dict[str, Any] = {"unit": unit, "data": data, "problem": problem, "comparisons": shown_comparisons(unit)}
        if unit.compared is not None:
            compared = unit.compared
            shown |= {"earlier": shown_earlier_results(compared), "no_earlier": nothing_earlier(compared.rule, compared.left_out)}
            shown["left_out"] = left_out_in_words(compared.left_out)
        return page(templates, request, "viewer.html", **shown)

    @routes.get("/viewer/{unit_id}/{ticket}/meta")
    async def meta(unit_id: RowId, ticket: str, session: SignedIn) -> Response:
        """Describe the images as soon as their headers were read; 422 with the reason where they cannot be displayed."""
        checked = await run_in_threadpool(source.check, ticket, session.id, unit_id)
        rendering = await source.rendering(checked)
        images = await run_in_threadpool(source.images, checked)  # while the headers are read
        if not await rendering.wait(lambda: rendering.meta is not None, WAIT_S):
            return JSONResponse({"waiting": True}, status_code=202)
        if rendering.failure:
            return JSONResponse({"reason": rendering.failure}, status_code=422)
        return JSONResponse(describe(rendering, images))

    @routes.get("/viewer/{unit_id}/{ticket}/first")
    async def first(unit_id: RowId, ticket: str, session: SignedIn) -> Response:
        """Send the slice that is decoded first, with its index in a header: it is asked for together with the description."""
        rendering = await source.rendering(await run_in_threadpool(source.check, ticket, session.id, unit_id))
        await rendering.wait(lambda: rendering.meta is not None, WAIT_S)
        z = -1 if rendering.meta is None else int(rendering.meta.get("first", -1))
        return await _slices(rendering, z, 1)

    @routes.get("/viewer/{unit_id}/{ticket}/slices/{first}/{count}")
    async def slices(unit_id: RowId, ticket: str, first: int, count: int, session: SignedIn) -> Response:
        """Send some slices: Hounsfield units or grey values as int16, little-endian; colours as RGB of 8 bits each."""
        rendering = await source.rendering(await run_in_threadpool(source.check, ticket, session.id, unit_id))
        await rendering.wait(lambda: rendering.meta is not None, WAIT_S)
        return await _slices(rendering, first, count)

    @routes.get("/viewer/{unit_id}/{ticket}/picture")
    async def picture(unit_id: RowId, ticket: str, session: SignedIn) -> Response:
        """Send a photograph as PNG."""
        rendering = await source.rendering(await run_in_threadpool(source.check, ticket, session.id, unit_id))
        done = await rendering.wait_until_finished(WAIT_S)
        if not done or rendering.failure or not rendering.picture.is_file():
            raise HTTPException(404, rendering.failure or "this unit is no photograph")
        return FileResponse(rendering.picture, media_type="image/png")

    @routes.get("/viewer/{unit_id}/{ticket}/overlays")
    def overlays(unit_id: RowId, ticket: str, session: SignedIn) -> Response:
        """Send outlines and heat map of the result, as the worker stored them; without them an empty answer."""
        checked = source.check(ticket, session.id, unit_id)
        sha256 = find_overlays(accounts.database, checked.related_id)
        if sha256 is None or not source.blob(sha256).is_file():
            return JSONResponse({"masks": [], "heat": None})
        content = source.blob(sha256).read_bytes()
        return Response(content, media_type="application/json", headers={"Content-Encoding": "gzip"})

    return routes


def first_slice(meta: dict[str, Any] | None, uid: str) -> int | None:
    """Return the index of the slice that is wanted first; None for a photograph, and while the images are not known."""
    if meta is None or meta["kind"] != "series":
        return None
    return next((z for z, (image, _) in enumerate(meta["images"]) if image == uid), int(meta["first"]))


def describe(rendering: RenderedUnit, images: UnitImages | None) -> dict[str, Any] | None:
    """Return the description of images for the scripts, with the Instance Numbers; None where it is not known yet."""
    if rendering.meta is None:
        return None
    return {**rendering.meta, "instance_numbers": {} if images is None else images.instance_numbers}


async def _slices(rendering: RenderedUnit, first: int, count: int) -> Response:
    """Send slices as soon as they are decoded."""
    if rendering.meta is None or rendering.meta["kind"] != "series":
        raise HTTPException(404, "there are no slices")
    if not (first >= 0 and 1 <= count <= MOST_SLICES and first + count <= rendering.meta["shape"][0]):
        raise HTTPException(404, "there are no such slices")
    if (first, count) != (rendering.meta["first"], 1) and not rendering.has_slices(first, count):
        rendering.want_others()
    if not await rendering.wait(lambda: rendering.has_slices(first, count), WAIT_S):
        raise HTTPException(503, "these slices are not decoded yet: try again", headers={"Retry-After": "1"})
    if rendering.failure:
        raise HTTPException(422, rendering.failure)
    return Response(await _read(rendering, first, count), media_type="application/octet-stream", headers={SLICE: str(first)})


async def _read(rendering: RenderedUnit, first: int, count: int) -> bytes:
    """Read slices; the folder is renamed once, when everything is decoded, so that a second try finds it."""
    for _ in range(2):
        try:
            return await run_in_threadpool(rendering.read_slices, first, count)
        except OSError:
            await asyncio.sleep(0.02)
    raise HTTPException(503, "the decoded images were removed from the cache: try again", headers={"Retry-After": "1"})
