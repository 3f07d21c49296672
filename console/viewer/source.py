"""Finds the decoded images that a request may read."""

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from console.viewer.render_pool import RenderOrder, RenderPool, TooManyWaiting
from console.viewer.rendered_unit import RenderedUnit
from console.viewer.tickets import Ticket, check_ticket
from db.blobs.reader import BlobReader
from db.engine import Database
from db.viewer.viewed_unit import UnitImages, find_images

BUSY = "Many series are being opened at this moment. Try again in a minute."


def object_name(unit_id: int, key: str) -> str:
    """Return the name of a result object of a unit in the cache."""
    return f"unit-{unit_id}-object-{key}"


class ViewerSource:
    """Finds what a request may read: checks its ticket, and starts a render process where the cache has lost the images."""

    def __init__(self, database: Database, pool: RenderPool, blobs: BlobReader) -> None:
        self.database = database
        self.pool = pool
        self._blobs = blobs

    def sign(self, ticket: Ticket, session_id: int) -> str:
        """Return the ticket as text for one session."""
        return ticket.sign(self.database.installation()[1], session_id)

    def check(self, text: str, session_id: int, subject_id: int, scope: str = "unit") -> Ticket:
        """Return the ticket of a request. Raises 404, as for a unit that does not exist."""
        ticket = check_ticket(text, self.database.installation()[1], session_id, subject_id, scope)
        if ticket is None:
            raise HTTPException(404, "open the viewer anew")
        return ticket

    def blob(self, sha256: str) -> Path:
        """Return the file of a blob."""
        return self._blobs.fetch(sha256)

    def prepare(self, unit_id: int, job_id: int, first_uid: str) -> None:
        """Decode the images of a result behind the request, because a viewer will probably be opened on them."""

        def start() -> None:
            images = find_images(self.database, unit_id, job_id)
            if images is not None and images.hashes and not images.removed:
                self.start(unit_id, images, first_uid)

        self.pool.prepare(start)

    def start(self, unit_id: int, images: UnitImages, first_uid: str = "") -> RenderedUnit:
        """Start to decode images, unless that is done. Raises 503 where too many wait."""
        found = self.pool.find(f"unit-{unit_id}-{images.key}")
        if found is not None and not found.failure:
            return found
        files = list(zip(self._blobs.fetch_all(images.hashes), images.hashes, strict=True))
        return self._start(RenderOrder(f"unit-{unit_id}-{images.key}", images.kind, files, first_uid))

    def start_object(self, unit_id: int, sha256: str) -> RenderedUnit:
        """Start to make a result object of a unit readable, unless that is done. Raises 503 where too many wait."""
        return self._start(RenderOrder(object_name(unit_id, sha256[:32]), "object", [(self.blob(sha256), sha256)]))

    def _start(self, order: RenderOrder) -> RenderedUnit:
        try:
            return self.pool.start(order)
        except TooManyWaiting as error:
            raise HTTPException(503, BUSY) from error

    def find_object(self, ticket: Ticket) -> RenderedUnit | None:
        """Return the readable form of a result object; None where the cache has lost it."""
        return self.pool.find(object_name(ticket.related_id, ticket.key))

    def images(self, ticket: Ticket) -> UnitImages | None:
        """Return the images that a ticket names: those of its result, or those of the unit where more have arrived since; else None."""
        for job_id in dict.fromkeys((ticket.related_id or None, None)):
            found = find_images(self.database, ticket.subject_id, job_id)
            if found is not None and found.key == ticket.key:
                return found
        return None

    async def rendering(self, ticket: Ticket) -> RenderedUnit:
        """Return the rendered unit of a ticket; where the cache has lost it, the images are decoded again."""
        found = self.pool.find(f"unit-{ticket.subject_id}-{ticket.key}")
        if found is not None:
            return found
        images = await run_in_threadpool(self.images, ticket)
        if images is None or images.removed:
            raise HTTPException(410, "the images have changed or were deleted: open the viewer anew")
        return await run_in_threadpool(self.start, ticket.subject_id, images)
