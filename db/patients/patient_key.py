"""Who a patient is: a Patient ID together with its issuer. The same ID of two issuers names two persons (PS3.3 C.7.1.1)."""

from dataclasses import dataclass

from sqlalchemy import text

from core.errors import ConfigurationError
from db import audit
from db.engine import Database

_ISSUERS = text("SELECT DISTINCT issuer_of_patient_id FROM studies WHERE patient_id = :patient_id")
_ERASURES = text("SELECT patient, issuer FROM erasures WHERE finished_at IS NULL")
# An image has the issuer of its own header, also where the first image of its study named none. Erasures keep the issuer alone.
_EVERY_ISSUER = text("""
    SELECT issuer_of_patient_id AS issuer FROM studies WHERE patient_id = :patient_id
    UNION SELECT coalesce(i.header ->> 'issuer_of_patient_id', '') FROM instances i WHERE i.header ->> 'patient_id' = :patient_id
    UNION SELECT issuer FROM erasures UNION SELECT '' ORDER BY issuer
""")


@dataclass(frozen=True, slots=True)
class PatientKey:
    """The identity of one person; ``issuer`` is "" where the images name none."""

    patient_id: str
    issuer: str = ""

    def reference(self, database: Database) -> str:
        """Return the keyed reference that stands for this person in the audit trail."""
        return audit.patient_reference(database.installation()[1], self.issuer, self.patient_id)


def known_issuers(database: Database, patient_id: str) -> list[str]:
    """Return the issuers of this ID: those that studies name, and those of erasures of it that were interrupted."""
    with database.begin() as connection:
        issuers = set(connection.execute(_ISSUERS, {"patient_id": patient_id}).scalars())
        erasures = connection.execute(_ERASURES).all()
    issuers |= {row.issuer for row in erasures if PatientKey(patient_id, row.issuer).reference(database) == row.patient}
    return sorted(issuers)


def find_patient(database: Database, patient_id: str, issuer: str | None = None) -> PatientKey:
    """Return the person with this ID; ``issuer`` may be None where studies, or erasures that were interrupted, name one issuer only.

    Raises
    ------
    ConfigurationError
        The ID is empty, or several issuers gave it.
    """
    wanted = patient_id.strip()
    if not wanted:
        raise ConfigurationError("an empty Patient ID names no person", hint="give the ID as it stands in the images")
    if issuer is not None:
        return PatientKey(wanted, issuer.strip())
    issuers = known_issuers(database, wanted)
    if len(issuers) > 1:
        named = ", ".join(repr(name) if name else "none ('')" for name in issuers)
        raise ConfigurationError(f"this Patient ID is one of {len(issuers)} persons, by issuer: {named}", hint="give --issuer")
    return PatientKey(wanted, *issuers)


def references_of_id(database: Database, patient_id: str) -> list[str]:
    """Return the keyed references of all persons whom an issuer that the node knows may have given this ID, also of erased ones."""
    with database.begin() as connection:
        issuers = connection.execute(_EVERY_ISSUER, {"patient_id": patient_id}).scalars().all()
    return [PatientKey(patient_id, issuer).reference(database) for issuer in issuers]
