"""Our own check of a report before it is kept: what fails is held back and not sent.

Structure and references here and in `tree`; the standard's own validators (dciodvfy, DicomSRValidator) run in the tests.
Problems are words without patient values: they are stored, logged and shown.
"""

import io
import warnings
from collections.abc import Iterator

from pydicom import config, dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from core import codes
from workers.encode import tree
from workers.encode.source import IDENTIFIERS, TYPE_2

# Type 1 of SOP Common, SR Document Series, Enhanced General Equipment, SR Document General and Content (PS3.3 A.35.13)
TYPE_1 = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "InstanceNumber"),
    *("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"),
    *("ContentDate", "ContentTime", "CompletionFlag", "VerificationFlag", "PreliminaryFlag"),
    *("ValueType", "ConceptNameCodeSequence", "ContinuityOfContent", "ContentSequence", "ContentTemplateSequence"),
)
EMPTY_ALLOWED = ("ReferencedPerformedProcedureStepSequence", "PerformedProcedureCodeSequence")  # type 2 sequences
EXPECTED = {
    "SOPClassUID": str(Comprehensive3DSRStorage),
    "Modality": "SR",
    "CompletionFlag": "COMPLETE",
    "VerificationFlag": "UNVERIFIED",
    "PreliminaryFlag": "PRELIMINARY",
    "ValueType": "CONTAINER",
}


def validate(content: bytes) -> tuple[str, ...]:
    """What is wrong with a Comprehensive 3D SR file; empty when nothing is. Never raises for what is in the bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pydicom warns of is found below, and named
        try:
            document = dcmread(io.BytesIO(content))
            document.decode()
        except (InvalidDicomError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, LookupError) as error:
            return (f"not readable as a DICOM file: {type(error).__name__}",)
        problems = [*_meta(document), *_modules(document), *_values(document), *_coding_schemes(document)]
        if document.get("ContentSequence"):
            problems += tree.problems(document, evidence(document))
    return tuple(dict.fromkeys(problems))


def _meta(document: Dataset) -> Iterator[str]:
    meta = document.file_meta
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "the transfer syntax is not Explicit VR Little Endian"
    for name, keyword in (("MediaStorageSOPClassUID", "SOPClassUID"), ("MediaStorageSOPInstanceUID", "SOPInstanceUID")):
        if meta.get(name) != document.get(keyword):
            yield f"{name} and {keyword} differ"


def _modules(document: Dataset) -> Iterator[str]:
    for keyword in TYPE_1:
        if keyword not in document:
            yield f"{keyword} (type 1) is missing"
        elif document[keyword].is_empty:
            yield f"{keyword} (type 1) is empty"
    for keyword in (*TYPE_2, *EMPTY_ALLOWED):
        if keyword not in document:
            yield f"{keyword} (type 2) is missing"
    for keyword, value in EXPECTED.items():
        if keyword in document and document.get(keyword) != value:
            yield f"{keyword} is not {value}"
    if not evidence(document):
        yield "the evidence lists no image"
    for item in document.get("ReferencedRequestSequence", ()):
        for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
            if keyword not in item:
                yield f"{keyword} is missing in a referenced request"


def _values(dataset: Dataset) -> Iterator[str]:
    """Every value fits its VR and every UID is one, in sequences too. Identifiers are as the source wrote them."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _values(item)
            continue
        if element.keyword in IDENTIFIERS or element.is_empty or element.VR in {"OB", "OW"}:
            continue
        for value in element.value if isinstance(element.value, MultiValue) else [element.value]:
            if element.VR == "UI":
                if not UID(str(value)).is_valid:
                    yield f"{element.keyword} is no valid UID"
            elif element.VR in {"FL", "FD", "US", "UL", "SS", "SL"}:
                continue
            elif not _fits(element.VR, str(value)):
                yield f"a value of {element.keyword} does not fit VR {element.VR}"


def _fits(vr: str, value: str) -> bool:
    try:
        validate_value(vr, value, config.RAISE)
    except ValueError:
        return False
    return "\ufffd" not in value


def _coding_schemes(document: Dataset) -> Iterator[str]:
    named = {item.get("CodingSchemeDesignator") for item in document.get("CodingSchemeIdentificationSequence", ())}
    if codes.PRIVATE_SCHEME not in named:
        yield f"the private coding scheme {codes.PRIVATE_SCHEME} is not identified"


def evidence(document: Dataset) -> frozenset[tuple[str, str]]:
    """(SOP class, SOP instance) of all that the document says it is based on (PS3.3 C.17.2.3)."""
    found = set()
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in document.get(keyword, ()):
            for series in study.get("ReferencedSeriesSequence", ()):
                for item in series.get("ReferencedSOPSequence", ()):
                    found.add((str(item.get("ReferencedSOPClassUID")), str(item.get("ReferencedSOPInstanceUID"))))
    return frozenset(found)
