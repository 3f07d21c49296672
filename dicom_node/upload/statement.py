"""Patient, study and place of an uploaded photograph, from what the person stated in the form."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC
from typing import Any, cast
from uuid import UUID

from db.uploads.upload_records import ClaimedFile
from imaging.headers.identity import Identity
from imaging.photograph.header import PhotographKind
from imaging.photograph.photograph_uids import photograph_uid, upload_uid
from imaging.photograph.skin_regions import skin_regions


@dataclass(frozen=True, slots=True)
class StatedPlace:
    """Where a photograph belongs; ``region`` is a key of `skin_regions`, or ""."""

    identity: Identity
    series_instance_uid: str
    sop_instance_uid: str
    kind: PhotographKind
    instance_number: int
    region: str

    def request(self) -> dict[str, Any]:
        """Return the values of a request to the converter."""
        place = {name: getattr(self, name) for name in ("series_instance_uid", "sop_instance_uid", "kind", "instance_number", "region")}
        return {"identity": asdict(self.identity), "place": place}


def photograph_place(installation: UUID, file: ClaimedFile, sha256: str, number: int) -> StatedPlace:
    """Return patient, study, series and UID of a photograph.

    All photographs of one upload are one study. The SOP Instance UID is derived from the image file and the statement, not from the
    upload: the same file with the same statement is the same instance. Without a Patient ID one is made for the upload, so that results of
    different people are never taken for those of one.
    """
    stated = file.statement
    kind = cast(PhotographKind, stated.get("kind", "dermoscopy"))
    at = file.created_at.astimezone(UTC)
    today = at.strftime("%Y%m%d")
    day = stated.get("taken_on", "") or today
    identity = Identity(
        patient_id=stated.get("patient_id", ""),
        study_instance_uid=upload_uid(installation, "study", str(file.upload_id)),
        patient_name=stated.get("patient_name", ""),
        patient_birth_date=stated.get("birth_date", ""),
        patient_sex=stated.get("sex", ""),
        accession_number=stated.get("accession_number", ""),
        study_date=day,
        study_time=at.strftime("%H%M%S") if day == today else "000000",
        study_description=stated.get("description", "") or "Photographs of the skin",
        timezone_offset="+0000",
    )
    region = stated.get("region", "")
    return StatedPlace(
        identity=replace(identity, patient_id=identity.patient_id or f"UPLOAD-{file.upload_id}"),
        series_instance_uid=upload_uid(installation, "series", str(file.upload_id), kind),
        sop_instance_uid=photograph_uid(installation, sha256, identity, kind, skin_regions().get(region)),
        kind=kind,
        instance_number=number,
        region=region,
    )
