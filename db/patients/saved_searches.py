"""Finds saved views of the worklist that search for one person: their filters may hold an ID, a name or an accession number."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from sqlalchemy import Connection, text

from db.patients.patient_key import PatientKey

_VIEWS = text("SELECT id, query FROM saved_views ORDER BY id")
_WORDS = text("""
    SELECT patient_name, accession_number, study_instance_uid, replace(patient_name, '^', ' ') AS spoken_name
    FROM studies WHERE id = ANY(CAST(:studies AS bigint[]))
""")


def find_saved_searches(connection: Connection, patient: PatientKey, studies: Sequence[int]) -> list[int]:
    """Return the numbers of saved views one of whose filters is the ID, the whole name, an accession number or a UID of the person.

    A part of a name, such as a family name, is a search for many people.
    """
    words = {patient.patient_id.casefold()}
    for row in connection.execute(_WORDS, {"studies": list(studies)}):
        words |= {word.strip().casefold() for word in row if word.strip()}
    return [view.id for view in connection.execute(_VIEWS) if any(value.strip().casefold() in words for _, value in parse_qsl(view.query))]
