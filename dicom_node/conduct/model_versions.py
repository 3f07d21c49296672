"""Which version of a model a unit is for, by the registry; where none may serve, in whose name that is reported."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from core.errors import ModelError
from core.records import RegisteredModel
from core.states import ModelState
from dicom_node.conduct.route_claims import Version, Versions
from models import installed


def versions_of(model: str, known: Sequence[RegisteredModel], folder: Path) -> Versions:
    """What serves, and what runs beside it. ``folder``: of the models that a person put there."""
    try:
        place = installed.serving(model, known, folder)
    except ModelError as error:
        return Versions(_last(model, known), problem=str(error))
    shadows = tuple(Version(one.card.version, one.digest) for one in installed.shadowing(model, known, folder))
    return Versions(Version(place.card.version, place.digest), shadows)


def _last(model: str, known: Sequence[RegisteredModel]) -> Version:
    """The active version (its files are gone), else the one that was active last, else none that anybody knows."""
    mine = [one for one in known if one.name == model and (one.activated or one.state is ModelState.ACTIVE)]
    if not mine:
        return Version("unknown", sha256(model.encode()).hexdigest())
    last = max(mine, key=lambda one: (one.state is ModelState.ACTIVE, known.index(one)))
    return Version(last.version, last.digest)
