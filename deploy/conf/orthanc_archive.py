"""Script for Orthanc's Python plug-in (Debian: orthanc-python): refuses inconsistent objects and carries out rejections.

Orthanc does neither by itself. In its configuration: ``"PythonScript": "/etc/orthanc/orthanc_archive.py"``.

- A C-STORE of an object whose study is stored with another patient ID or accession number is answered with 0xA900, and the object is not
  stored. Objects received by STOW-RS are not checked: a plug-in can only drop them, and Orthanc then answers success.
- A Key Object Selection that rejects objects (IHE RAD TF, Imaging Object Change Management), from an AE title in `MAY_REJECT`, deletes
  the objects of the same study that it lists. The selection itself is kept as the record of the rejection.
"""

import json
from typing import Any

import orthanc

MAY_REJECT = {"DICOMNODE"}  # calling AE titles
MUST_AGREE = ("PatientID", "AccessionNumber")
# DCM: quality, patient safety, incorrect modality worklist entry, data retention policy expired
REJECTING = {"113001", "113037", "113038", "113039"}
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
SUCCESS, DOES_NOT_MATCH = 0x0000, 0xA900


def get_json(path: str) -> Any:
    """Return the JSON document that Orthanc's REST interface returns for a path."""
    return json.loads(orthanc.RestApiGet(path))


def find_resources(level: str, uid: str) -> list[str]:
    """Return Orthanc's identifiers of the resources with a UID."""
    return [found["ID"] for found in json.loads(orthanc.RestApiPost("/tools/lookup", uid)) if found["Type"] == level]


def check_consistency(instance: Any) -> int:
    """Return the status that a C-STORE is answered with."""
    received = json.loads(instance.GetInstanceSimplifiedJson())
    for identifier in find_resources("Study", received["StudyInstanceUID"]):
        study = get_json(f"/studies/{identifier}")
        stored = {**study["PatientMainDicomTags"], **study["MainDicomTags"]}
        if any(stored.get(name, "") != received.get(name, "") for name in MUST_AGREE):
            return DOES_NOT_MATCH
    return SUCCESS


def carry_out_rejection(change: int, _level: int, identifier: str) -> None:
    """Delete the objects that a new instance rejects, if it is a rejection."""
    if change != orthanc.ChangeType.NEW_INSTANCE:
        return
    metadata = get_json(f"/instances/{identifier}/metadata?expand")
    if metadata.get("SopClassUid") != KEY_OBJECTS or metadata.get("RemoteAET") not in MAY_REJECT:
        return
    document = get_json(f"/instances/{identifier}/simplified-tags")
    title = document["ConceptNameCodeSequence"][0]
    if title["CodingSchemeDesignator"] != "DCM" or title["CodeValue"] not in REJECTING:
        return
    study = get_json(f"/instances/{identifier}/study")["ID"]
    listed = (series for item in document["CurrentRequestedProcedureEvidenceSequence"] for series in item["ReferencedSeriesSequence"])
    for item in (item for series in listed for item in series["ReferencedSOPSequence"]):
        for rejected in find_resources("Instance", item["ReferencedSOPInstanceUID"]):
            if get_json(f"/instances/{rejected}/study")["ID"] == study:
                orthanc.RestApiDelete(f"/instances/{rejected}")


orthanc.RegisterIncomingCStoreInstanceFilter(check_consistency)
orthanc.RegisterOnChangeCallback(carry_out_rejection)
