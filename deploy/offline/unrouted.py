"""Tells what the present routes would do with a unit that no route selected.

Libraries that read DICOM are imported with the first unit: most often there is none.
"""

from collections.abc import Mapping
from typing import Any

from core.errors import NodeError
from core.settings.settings import Settings
from db.engine import Database


def present_route_decision(settings: Settings, database: Database, row: Mapping[str, Any]) -> str:
    """Return the routes that would select a unit now, or why none would. ``row``: of `db.complete.unrouted.unrouted`."""
    if row["let_go"]:
        return "cannot be routed: retention has deleted its images"
    from db.blobs.open_blobs import open_blobs
    from db.complete import units
    from dicom_node.conduct.unit_contents import unit_contents
    from dicom_node.conduct.unit_routes import match_unit_routes

    try:
        held = unit_contents(units.instances_of_unit(database, row["unit_id"]))
        claim = match_unit_routes(settings.routes, database, open_blobs(settings), row["source"], held, lambda _: None)
    except NodeError as error:
        return f"cannot be routed: {error}"
    if claim.waiting:
        return "its images decide: dicom-node rules requeue"  # a listing decodes no images
    return "selected by " + ", ".join(route.name for route in claim.routes) if claim.routes else "no route"
