"""Determines what the present routes would do with units that no route selected."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import NodeError
from core.settings.settings import Settings
from db.engine import Database


def present_route_decisions(settings: Settings, url: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, for each row of `db.listings.unrouted.list_unrouted`, what the present routes would do; ``url`` is that of the database."""
    with Database.open(url, pool_size=1) as database:
        return [present_route_decision(settings, database, row) for row in rows]


def present_route_decision(settings: Settings, database: Database, row: Mapping[str, Any]) -> str:
    """Return the routes that would select a unit now, or why none would."""
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
