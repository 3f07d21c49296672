"""Carries out an erasure: rows, then files, then the copies of this machine, then the proof."""

from collections.abc import Callable, Sequence
from pathlib import Path

from core.failpoints import failpoint
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.patients.erased_traces import erase_traces
from db.patients.erasure import erase_studies
from db.patients.erasure_plan import ErasurePlan
from db.patients.erasure_record import Erasure, FinishedErasure, begin_erasure, finish_erasure
from db.patients.patient_key import PatientKey
from db.viewer.erased_copies import remove_erased_copies


def run_erasure(
    settings: Settings, database: Database, blobs: Blobs, patient: PatientKey, plan: ErasurePlan, quarantined: Sequence[int], *,
    actor: str, reason: str, cancel: bool, whole_studies: bool,
) -> FinishedErasure:  # fmt: skip
    """Erase a person, or continue where an erasure was interrupted; return what was deleted, and what destinations hold.

    Raises
    ------
    NodeError
        The node began to work with the data meanwhile, or rows or files could not be deleted. The erasure stays open.
    """
    erasure = start_erasure(settings, database, patient, plan, quarantined, actor=actor, reason=reason, cancel=cancel)
    mixed_of = None if whole_studies else patient
    finished = None
    while finished is None:
        finished = continue_erasure(settings, database, blobs, erasure, actor=actor, cancel=cancel, mixed_of=mixed_of)
    return finished


def start_erasure(
    settings: Settings, database: Database, patient: PatientKey, plan: ErasurePlan, quarantined: Sequence[int], *,
    actor: str, reason: str, cancel: bool,
) -> Erasure:  # fmt: skip
    """Record that an erasure begins, or continues, and delete what is stored of the person beside the studies. Raises as `run_erasure`."""
    erasure = begin_erasure(database, patient, plan, actor=actor, reason=reason)
    files = erase_traces(database, patient, erasure, quarantined, cancel=cancel)
    _remove_uploaded(settings.uploads_dir, files)
    return erasure


def continue_erasure(
    settings: Settings, database: Database, blobs: Blobs, erasure: Erasure, *, actor: str, cancel: bool, mixed_of: PatientKey | None,
    is_over: Callable[[], bool] = lambda: False,
) -> FinishedErasure | None:  # fmt: skip
    """Delete studies, then files, and end the erasure. None where it has stopped because ``is_over``: the next call goes on.

    ``cancel``, ``mixed_of`` and ``is_over`` as for `erase_studies`. Raises as `run_erasure`.
    """
    if not erase_studies(database, erasure, cancel=cancel, mixed_of=mixed_of, is_over=is_over):
        return None
    failpoint("erase.emptied")
    until = database.now()
    while removals.remove_batch(database, blobs) is not None:
        if is_over():
            return None
    remove_erased_copies(database, settings.viewer_cache_dir)
    failpoint("erase.removed")
    return finish_erasure(database, erasure, until, actor=actor)


def _remove_uploaded(folder: Path, files: Sequence[int]) -> None:
    """Remove bytes of uploaded files whose rows are gone. The listener removes what is left by a kill, or is in a folder of its own."""
    for id in files:
        for path in (folder / str(id), *folder.glob(f"{id}.*")):
            path.unlink(missing_ok=True)
