"""Lists the pipelines that workers have registered."""

from core.records.model import RegisteredModel
from core.states import ModelOrigin, ModelState
from db.listings.reader import Reader

_KNOWN = """
    SELECT name, version, digest, state, origin, activated_at IS NOT NULL AS was_active FROM models
    WHERE CAST(%(name)s AS text) IS NULL OR name = %(name)s ORDER BY id
"""


def registered_models(reader: Reader, name: str | None = None) -> tuple[RegisteredModel, ...]:
    """Return the registered pipelines of one name, or all, the oldest first."""
    return tuple(
        RegisteredModel(row["name"], row["version"], row["digest"], ModelState(row["state"]), ModelOrigin(row["origin"]), row["was_active"])
        for row in reader.read(_KNOWN, {"name": name})
    )
