"""Which versions of a model run on a new unit, by the model registry and the model packages on this machine."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from core.errors import ModelError
from core.records import RegisteredModel
from core.states import ModelState
from db.engine import Database
from db.jobs.rerun import RerunTarget
from db.jobs.rerun_plan import FindVersion
from db.operations import model_registry
from dicom_node.conduct.job_plans import ServedVersion, ServedVersions
from models import installed


def served_versions(model: str, known: Sequence[RegisteredModel], folder: Path) -> ServedVersions:
    """Return the version of a model that serves, and its shadows.

    Parameters
    ----------
    known
        The rows of the registry.
    folder
        Where models are installed that are not part of the program.
    """
    try:
        place = installed.serving_version(model, known, folder)
    except ModelError as error:
        last = _last_active(model, known)
        shadows = _shadows(model, known, folder)
        if last.digest in {shadow.digest for shadow in shadows}:  # demoted: the report that it was not analysed is no result of the shadow
            last = ServedVersion(last.version, sha256(f"not serving: {last.digest}".encode()).hexdigest())
        return ServedVersions(last, shadows, problem=str(error))
    shadows = _shadows(model, known, folder)
    return ServedVersions(ServedVersion(place.card.version, place.digest), shadows)


def rerun_versions(database: Database, folder: Path, wanted: str) -> FindVersion:
    """Return what finds the version on which jobs of a model run again: ``wanted`` (version or digest), or "" for the one that serves."""

    def find(model: str) -> RerunTarget:
        found = installed.version_for_rerun(model, wanted, model_registry.registered_models(database, model), folder)
        return RerunTarget(found.card.version, found.digest)

    return find


def _shadows(model: str, known: Sequence[RegisteredModel], folder: Path) -> tuple[ServedVersion, ...]:
    """The shadows of a model; none where no version of it is on this machine."""
    try:
        found = installed.shadow_versions(model, known, folder)
    except ModelError:
        return ()
    return tuple(ServedVersion(shadow.card.version, shadow.digest) for shadow in found)


def _last_active(model: str, known: Sequence[RegisteredModel]) -> ServedVersion:
    """The active version (its files are missing), else the one that was active last, else a version "unknown"."""
    activated = [row for row in known if row.name == model and (row.activated or row.state is ModelState.ACTIVE)]
    if not activated:
        return ServedVersion("unknown", sha256(model.encode()).hexdigest())
    last = max(activated, key=lambda row: (row.state is ModelState.ACTIVE, known.index(row)))
    return ServedVersion(last.version, last.digest)
