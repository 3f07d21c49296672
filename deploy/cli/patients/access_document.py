"""The access report as one JSON document: the record of the person, who the person is by the images, and what the report cannot hold."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core.counted import counted

if TYPE_CHECKING:
    from db.patients.patient_record import PatientRecord
    from dicom_node.erasure.quarantined import QuarantinedOfPatient

RESEARCH = (
    "Results of AI models whose status is research are for research only. They are not for diagnosis, and nothing was decided by them."
)
NOT_INCLUDED = (
    "Copies that destinations hold: they are listed as deliveries, and their operators answer for them.",
    "Backups of the database and of the files, which the operator of the node keeps elsewhere.",
    "Files that people have exported: who exported when is listed, the files are not known to the node.",
)
_NAMED = {"names": "patient_name", "birth_dates": "patient_birth_date", "sexes": "patient_sex"}


def access_document(record: "PatientRecord", *, ae_title: str, refused: "QuarantinedOfPatient") -> dict[str, Any]:
    """Return the report. ``refused``: those that do not say whose they are, and those of another issuer, are named."""
    headers = [*record.studies, *(image["header"] for image in record.parts["images"])]
    return {
        "made_at": record.made_at.isoformat(),
        "node": ae_title,
        "patient": {
            "patient_id": record.patient.patient_id,
            "issuer_of_patient_id": record.patient.issuer,
            **{name: sorted({str(one[key]) for one in headers if one.get(key)}) for name, key in _NAMED.items()},
        },
        "use_of_results": RESEARCH,
        "studies": record.studies,
        **record.parts,
        "views": record.views,
        "exports": record.exports,
        "refused_data_sets_of_unknown_persons": list(refused.unreadable),
        "refused_data_sets_of_other_issuers": list(refused.of_namesakes),
        "not_included": list(NOT_INCLUDED),
    }


def summarise(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the report says, in a few sentences for the terminal."""
    counts = [f"{len(document[name])} {name}" for name in ("studies", "series", "images", "analyses", "findings", "objects")]
    if not any(document[name] for name in ("studies", "quarantined", "uploads", "images_in_other_studies")):
        yield "nothing is stored of this person, beside the events of the audit trail"
    else:
        yield f"stored: {', '.join(counts)}, {len(document['quarantined'])} refused data sets, {len(document['uploads'])} uploaded files"
    if removed := sum(1 for image in document["images"] if image["removed_at"]):
        yield f"retention has deleted the files of {counted(removed, 'image')}; the rows are part of the report"
    if mixed := sum(1 for image in document["images"] if image["of_another_person"]):
        words = counted(mixed, "image of these studies names", "images of these studies name")
        yield f"{words} another person: headers and files of these are not part of the report"
    if others := len(document["images_in_other_studies"]):
        words = counted(others, "image that names this person is", "images that name this person are")
        yield f"{words} in studies of other persons: listed, without the files"
    stored = {row["destination"] for row in document["deliveries"] if row["was_stored"]}
    if stored:
        yield f"results were sent to {', '.join(sorted(stored))}"
    if document["views"]:
        yield f"seen by {', '.join(sorted({row['actor'] for row in document['views']}))}"
    if document["archived_months"]:
        names = ", ".join(month["name"] for month in document["archived_months"])
        yield f"months of the audit trail that are archived are not part of the report: {names} (see `dicom-node audit restore`)"
    if unknown := document["refused_data_sets_of_unknown_persons"]:
        numbers = ", ".join(map(str, unknown))
        yield f"refused data sets that do not say whose they are: {numbers} (see `dicom-node quarantine list`)"
    if namesakes := document["refused_data_sets_of_other_issuers"]:
        yield f"refused data sets with this ID of another issuer, who is another person: {', '.join(map(str, namesakes))}; see --issuer"
