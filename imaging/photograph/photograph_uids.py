"""UIDs of photographs that are made from files: derived from their content, so that the same file twice is the same instance."""

from uuid import UUID, uuid5

from imaging.headers.identity import Identity
from imaging.photograph.skin_regions import SkinRegion


def photograph_uid(root: UUID, sha256: str, identity: Identity, kind: str, region: SkinRegion | None) -> str:
    """Return the SOP Instance UID of an image file with this hash and these statements about patient and place.

    Study, date and time are left out: the same file is uploaded again later, in another study.
    """
    stated = (
        identity.patient_id, identity.patient_name, identity.issuer_of_patient_id, identity.patient_birth_date, identity.patient_sex,
        identity.accession_number, kind, region.key if region is not None else "",
    )  # fmt: skip
    return _uid(root, "photograph", sha256, *stated)


def upload_uid(root: UUID, level: str, *names: str) -> str:
    """Return the UID of a study or series (``level``) that holds such photographs."""
    return _uid(root, level, *names)


def _uid(root: UUID, *parts: str) -> str:
    """PS3.5 B.2: 2.25 and a UUID as an integer."""
    return f"2.25.{uuid5(root, chr(31).join(parts)).int}"
