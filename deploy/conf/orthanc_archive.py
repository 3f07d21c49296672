"""For Orthanc with its Python plug-in (Debian: orthanc-python): an archive that refuses what contradicts it, and acts on rejections.

Orthanc does neither by itself. In its configuration: ``"PythonScript": "/etc/orthanc/orthanc_archive.py"``.

- C-STORE of an object whose study is held with another patient ID or accession number is answered 0xA900, and nothing is stored.
  What comes over STOW-RS is not looked at: the plug-ins of Orthanc can drop it (and Orthanc answers success), not refuse it.
- A Key Object Selection that rejects (IHE RAD TF, Imaging Object Change Management), from an AE title that may, takes the
  objects of the same study away that it lists. The selection itself stays, as the record of it.
"""

import json
from typing import Any

import orthanc

MAY_REJECT = {"DICOMNODE"}  # calling AE titles
MUST_AGREE = ("PatientID", "AccessionNumber")
REJECTING = {"113001", "113037", "113038", "113039"}  # DCM: for quality reasons, for patient safety, wrong worklist entry, retention over
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SUCCESS, DOES_NOT_MATCH = 0x0000, 0xA900


def ask(path: str) -> Any:
    return json.loads(orthanc.RestApiGet(path))


def held(level: str, uid: str) -> list[str]:
    """What is held under a UID, by Orthanc's identifiers."""
    return [found["ID"] for found in json.loads(orthanc.RestApiPost("/tools/lookup", uid)) if found["Type"] == level]


def contradicts(instance: Any) -> int:
    """The status that a C-STORE is answered with."""
    said = json.loads(instance.GetInstanceSimplifiedJson())
    for identifier in held("Study", said["StudyInstanceUID"]):
        study = ask(f"/studies/{identifier}")
        known = {**study["PatientMainDicomTags"], **study["MainDicomTags"]}
        if any(known.get(name, "") != said.get(name, "") for name in MUST_AGREE):
            return DOES_NOT_MATCH
    return SUCCESS


def reject(change: int, _level: int, identifier: str) -> None:
    """After each instance: if it is a rejection, carry it out."""
    if change != orthanc.ChangeType.NEW_INSTANCE:
        return
    metadata = ask(f"/instances/{identifier}/metadata?expand")
    if metadata.get("SopClassUid") != KEY_OBJECTS or metadata.get("RemoteAET") not in MAY_REJECT:
        return
    document = ask(f"/instances/{identifier}/simplified-tags")
    title = document["ConceptNameCodeSequence"][0]
    if title["CodingSchemeDesignator"] != "DCM" or title["CodeValue"] not in REJECTING:
        return
    study = ask(f"/instances/{identifier}/study")["ID"]
    listed = (series for one in document["CurrentRequestedProcedureEvidenceSequence"] for series in one["ReferencedSeriesSequence"])
    for item in (item for series in listed for item in series["ReferencedSOPSequence"]):
        for rejected in held("Instance", item["ReferencedSOPInstanceUID"]):
            if ask(f"/instances/{rejected}/study")["ID"] == study:
                orthanc.RestApiDelete(f"/instances/{rejected}")


orthanc.RegisterIncomingCStoreInstanceFilter(contradicts)
orthanc.RegisterOnChangeCallback(reject)
