"""What today's routes would do with a unit that none took."""

from collections.abc import Mapping
from typing import Any

from core.errors import NodeError
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.complete import units
from db.engine import Database
from dicom_node.conduct.held_unit_routing import judged
from dicom_node.conduct.route_claims import contents


def now(settings: Settings, database: Database, row: Mapping[str, Any]) -> str:
    """``row`` of `db.complete.unrouted.unrouted`: the routes that would take it, or why it stays as it is."""
    if row["let_go"]:
        return "cannot be judged: retention has let go its images"
    try:
        held = contents(units.instances(database, row["unit_id"]))
        routes = judged(settings.routes, database, Blobs(settings.blobs_dir), row["source"], held).routes
    except NodeError as error:
        return f"cannot be judged: {error}"
    return "taken by " + ", ".join(route.name for route in routes) if routes else "no route"
