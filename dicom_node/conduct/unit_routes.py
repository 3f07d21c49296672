"""Matches the routes of the configuration with a unit in the database: reads the header of one of its images."""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from core.errors import NodeError, StoreUnavailable
from core.policy.completeness import MOVED_REASON
from core.policy.routes.body_part.condition import LUNGS_IN_IMAGE, LungsSeen, image_decides
from core.policy.routes.routing import UNREADABLE_REASON
from core.settings.routes import Route
from db.blobs.store import Blobs
from db.engine import Database
from db.receive import own_instances
from dicom_node.conduct.route_claims import RouteClaim, claim_routes
from dicom_node.conduct.unit_contents import UnitContents
from imaging.headers.route_test import exclusion_reason, route_attributes


def match_unit_routes(
    routes: Sequence[Route],
    database: Database,
    blobs: Blobs,
    source: str,
    contents: UnitContents,
    look_for_lungs: Callable[[Sequence[Path]], LungsSeen | None],
) -> RouteClaim:
    """Return the routes that claim a unit from ``source``, or the reason where none does.

    Parameters
    ----------
    look_for_lungs
        Called with the files of the unit where a route depends on its images; None: the answer is not known yet.

    Raises
    ------
    NodeError
        The bytes of its images do not exist.
    """
    representative = contents.representative
    if representative is None:
        return RouteClaim((), "nothing but localizers" if contents.dropped else MOVED_REASON)
    # Retention may have deleted the bytes of the representative before a late image arrives. Any other image has the same values.
    held = next((image.sha256 for image in (representative, *contents.images) if blobs.has(image.sha256)), None)
    if held is None:
        raise NodeError("the bytes of an instance are missing", hint="restore the blob from a backup; the unit is checked again")
    path = blobs.fetch(held)
    try:
        dataset, attributes = route_attributes(path, source)
        reason = exclusion_reason(dataset, made_here=own_instances.is_own_instance(database, representative.header))
        if reason:
            return RouteClaim((), reason)
        if any(image_decides(route.when, attributes) for route in routes):
            seen = look_for_lungs(blobs.fetch_all([image.sha256 for image in contents.images]))
            if seen is None:
                return RouteClaim((), "the images decide, and were not looked at yet", waiting=True)
            attributes[LUNGS_IN_IMAGE] = seen
        return claim_routes(routes, attributes)
    except StoreUnavailable:  # the unit is checked again
        raise
    except Exception as error:  # a malformed header may fail anywhere: the unit is completed with the reason, and not retried
        structlog.get_logger().error("route_matching_failed", exception=type(error).__name__)
        return RouteClaim((), f"{UNREADABLE_REASON} ({type(error).__name__})")
