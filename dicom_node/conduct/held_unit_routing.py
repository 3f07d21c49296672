"""A unit that is held, against the routes of the configuration: by the header of one of its images."""

from collections.abc import Iterable

import structlog

from core.errors import NodeError
from core.settings.routes import Route
from db.blobs.store import Blobs
from db.engine import Database
from db.receive import own_instances
from dicom_node.conduct.route_claims import Claim, Contents, attributes_of, claim, never_analysed


def judged(routes: Iterable[Route], database: Database, blobs: Blobs, source: str, held: Contents) -> Claim:
    """The routes that take a unit from ``source``; the reason where none does.

    Raises
    ------
    NodeError
        The bytes of its images are not there.
    """
    representative = held.representative
    if representative is None:
        return Claim((), "nothing but localizers")
    # Retention may have let go the one in the middle, when an image comes in late: any other of them says the same to a route.
    paths = (blobs.path(one.sha256) for one in (representative, *held.images))
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise NodeError("the bytes of an instance are missing", hint="restore the blob from a backup; the unit is looked at again")
    try:
        dataset, attributes = attributes_of(path, source)
        reason = never_analysed(dataset, indexed=own_instances.made_here(database, representative.header))
        return Claim((), reason) if reason else claim(routes, attributes)
    except Exception as error:  # whatever a hostile header does to a parser: the unit ends with the reason, not with a loop
        structlog.get_logger().error("a header cannot be judged", exception=type(error).__name__)
        return Claim((), f"its header cannot be judged ({type(error).__name__})")
