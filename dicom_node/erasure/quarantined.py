"""Finds the refused data sets of one person: their rows do not say whose they are, so that their headers are read."""

from dataclasses import dataclass

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

    ids: tuple[int, ...]
    unreadable: tuple[int, ...]
    of_namesakes: tuple[int, ...] = ()


def quarantined_of(database: Database, blobs: BlobReader, patient: PatientKey) -> QuarantinedOfPatient:
    """Return which refused data sets are of a person, by Patient ID and issuer in their headers."""
    found: list[int] = []
    unreadable: list[int] = []
    of_namesakes: list[int] = []
    for item in list_quarantined(database, MOST_ITEMS):
        try:
            patient_id, issuer = read_patient_identity(blobs.fetch(item.sha256))
        except (IntakeError, StorageError, OSError):  # why it was refused, or its blob is missing
            patient_id, issuer = "", ""
        if not patient_id:
            unreadable.append(item.id)
        elif (patient_id, issuer) == (patient.patient_id, patient.issuer):
            found.append(item.id)
        elif patient_id == patient.patient_id:
            of_namesakes.append(item.id)
    return QuarantinedOfPatient(tuple(sorted(found)), tuple(sorted(unreadable)), tuple(sorted(of_namesakes)))
