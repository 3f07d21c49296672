"""Finds saved views of the worklist that search for one person: their filters or name may hold an ID, a name or an accession number."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from sqlalchemy import Connection, text

from db.patients.patient_key import PatientKey

SHORT = 4  # characters of an identifier that may be a word of another text
_VIEWS = text("SELECT id, name, query FROM saved_views ORDER BY id")
_WORDS = text("SELECT patient_name, accession_number, study_instance_uid FROM studies WHERE id = ANY(CAST(:studies AS bigint[]))")
_SEPARATORS = re.compile(r"[\s,^=]+")


def find_saved_searches(connection: Connection, patient: PatientKey, studies: Sequence[int]) -> list[int]:
    """Return the numbers of saved views whose name, or one of whose filters, is about the person.

    That is the ID, an accession number or a UID of the person, alone or, where it is not short, as a word among others; or every word of a
    name of several words, in any order. A part of a name, such as a family name, is a search for many people.
    """
    identifiers = {patient.patient_id.casefold()}
    names: set[frozenset[str]] = set()
    for row in connection.execute(_WORDS, {"studies": list(studies)}):
        identifiers |= {value.strip().casefold() for value in (row.accession_number, row.study_instance_uid)} - {""}
        names.add(_words(row.patient_name))
    named, long = [name for name in names if len(name) > 1], {value for value in identifiers if len(value) > SHORT}

    def is_about(value: str) -> bool:
        words = _words(value)
        return value.strip().casefold() in identifiers or bool(words & long) or any(name <= words for name in named)

    views = connection.execute(_VIEWS).all()
    return [view.id for view in views if any(map(is_about, (view.name, *(value for _, value in parse_qsl(view.query)))))]


def _words(value: str) -> frozenset[str]:
    return frozenset(_SEPARATORS.split(value.casefold())) - {""}
