"""Finds the refused data sets of one person: their rows do not say whose they are, so that their headers are read."""

from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import IntakeError, StorageError
from db.blobs.reader import BlobReader
from db.engine import Database
from db.listings.quarantine import list_quarantined
from db.patients.patient_key import PatientKey
from imaging.headers.patient_identity import read_patient_identity

MOST_ITEMS = 1_000_000


@dataclass(frozen=True, slots=True)
class QuarantinedOfPatient:
    """Numbers of refused data sets: ``ids`` are of the person, ``unreadable`` do not say whose they are.

    ``of_namesakes`` have the ID of the person from another issuer: they are of somebody else.
    """

    ids: tuple[int, ...] = ()
    unreadable: tuple[int, ...] = ()
    of_namesakes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class QuarantineSearch:
    """A search that may be interrupted: what was found, and the number above which every refused data set was read; None: none was."""

    found: QuarantinedOfPatient = field(default_factory=QuarantinedOfPatient)
    below: int | None = None
    is_done: bool = False


def quarantined_of(database: Database, blobs: BlobReader, patient: PatientKey) -> QuarantinedOfPatient:
    """Return which refused data sets are of a person, by Patient ID and issuer in their headers."""
    return search_quarantine(database, blobs, patient, QuarantineSearch(), lambda: False).found


def search_quarantine(
    database: Database, blobs: BlobReader, patient: PatientKey, search: QuarantineSearch, is_over: Callable[[], bool]
) -> QuarantineSearch:
    """Continue a search, until all are read or ``is_over``, which is asked after each; at least one is read."""
    ids, unreadable, of_namesakes = list(search.found.ids), list(search.found.unreadable), list(search.found.of_namesakes)
    below = search.below
    items = [item for item in list_quarantined(database, MOST_ITEMS) if below is None or item.id < below]
    items.sort(key=lambda item: item.id, reverse=True)
    for place, item in enumerate(items, start=1):
        try:
            patient_id, issuer = read_patient_identity(blobs.fetch(item.sha256))
        except (IntakeError, StorageError, OSError):  # why it was refused, or its blob is missing
            patient_id, issuer = "", ""
        if not patient_id:
            unreadable.append(item.id)
        elif (patient_id, issuer) == (patient.patient_id, patient.issuer):
            ids.append(item.id)
        elif patient_id == patient.patient_id:
            of_namesakes.append(item.id)
        below = item.id
        if place < len(items) and is_over():
            break
    found = QuarantinedOfPatient(tuple(sorted(ids)), tuple(sorted(unreadable)), tuple(sorted(of_namesakes)))
    return QuarantineSearch(found, below, is_done=not items or below == items[-1].id)
