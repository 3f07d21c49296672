"""Carries out an erasure: rows, then files, then the copies of this machine, then the proof."""

from collections.abc import Sequence
from pathlib import Path

from core.failpoints import failpoint
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.patients.erased_traces import erase_traces
from db.patients.erasure import erase_studies
from db.patients.erasure_plan import ErasurePlan
from db.patients.erasure_record import FinishedErasure, begin_erasure, finish_erasure
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
    erasure = begin_erasure(database, patient, plan, actor=actor, reason=reason)
    files = erase_traces(database, patient, erasure, quarantined, cancel=cancel)
    _remove_uploaded(settings.uploads_dir, files)
    erase_studies(database, erasure, cancel=cancel, mixed_of=None if whole_studies else patient)
    failpoint("erase.emptied")
    until = database.now()
    removals.remove_blobs(database, blobs)
    remove_erased_copies(database, settings.viewer_cache_dir)
    failpoint("erase.removed")
    return finish_erasure(database, erasure, until, actor=actor)


def _remove_uploaded(folder: Path, files: Sequence[int]) -> None:
    """Remove bytes of uploaded files whose rows are gone. The listener removes what is left by a kill, or is in a folder of its own."""
    for id in files:
        for path in (folder / str(id), *folder.glob(f"{id}.*")):
            path.unlink(missing_ok=True)
