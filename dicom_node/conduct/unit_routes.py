"""Matches the routes of the configuration with a unit in the database: reads the header of one of its images."""

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from core.errors import ImagesUnreadable, StorageError, StoreUnavailable, system_error_of
from core.policy.completeness import MOVED_REASON
from core.policy.routes.body_part.condition import LUNGS_IN_IMAGE, LungsSeen, image_decides
from core.policy.routes.routing import UNREADABLE_NOW, UNREADABLE_REASON
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
    ImagesUnreadable
        Images are missing, or cannot be read now. Only a file that can be read decides that no route takes the unit.
    StorageError
        The database, or the store on another machine, does not respond.
    """
    representative = contents.representative
    if representative is None:
        return RouteClaim((), "nothing but localizers" if contents.dropped else MOVED_REASON)
    made_here = own_instances.is_own_instance(database, representative.header)
    try:
        return _match_images(routes, blobs, source, contents, made_here, look_for_lungs)
    except (StoreUnavailable, ImagesUnreadable):
        raise
    except StorageError as error:  # a copy, or the disk that holds the copies
        raise ImagesUnreadable(f"{UNREADABLE_NOW}: {error.args[0]}", hint=error.hint) from error
    except Exception as error:
        failed = system_error_of(error)
        if failed is not None:
            hint = "see the disk that holds node.data_dir; they are read again"
            raise ImagesUnreadable(f"{UNREADABLE_NOW}: {failed.strerror}", hint=hint) from error
        # A malformed header may fail anywhere: the unit is completed with the reason, and not retried.
        structlog.get_logger().error("route_matching_failed", exception=type(error).__name__)
        return RouteClaim((), f"{UNREADABLE_REASON} ({type(error).__name__})")


def _match_images(
    routes: Sequence[Route],
    blobs: Blobs,
    source: str,
    contents: UnitContents,
    made_here: bool,
    look_for_lungs: Callable[[Sequence[Path]], LungsSeen | None],
) -> RouteClaim:
    """As `match_unit_routes`, of a unit with images; raises what reading them raises. ``made_here``: they are results of the node."""
    # Retention may have deleted the bytes of the representative before a late image arrives. Any other image has the same values.
    candidates = (contents.representative, *contents.images)
    held = next((image.sha256 for image in candidates if image is not None and blobs.has(image.sha256)), None)
    if held is None:
        hint = "mount the disk that holds node.data_dir, or send the images again; they are read again"
        raise ImagesUnreadable(f"{UNREADABLE_NOW}: their files are missing", hint=hint)
    dataset, attributes = route_attributes(blobs.fetch(held), source)
    reason = exclusion_reason(dataset, made_here=made_here)
    if reason:
        return RouteClaim((), reason)
    if any(image_decides(route.when, attributes) for route in routes):
        seen = look_for_lungs(blobs.fetch_all([image.sha256 for image in contents.images if not image.removed]))
        if seen is None:
            return RouteClaim((), "the images decide, and were not looked at yet", waiting=True)
        attributes[LUNGS_IN_IMAGE] = seen
    return claim_routes(routes, attributes)
