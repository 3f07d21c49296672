"""Our own check of every object before it is kept: what fails is held back and not sent.

Attributes by `core.iods`, values, codes and references here, an object's structure by `structure`, a report's tree by `tree`; the
standard's own validators (dciodvfy, DicomSRValidator) run in the tests. Problems are words without patient values: they are
stored, logged and shown.
"""

import struct
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache

from pydicom import config
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from core import private_codes
from core.iods import IODS, Iod
from core.records import Code
from imaging.wire.strict_reader import BINARY_VRS, NUMBER_FORMATS, StrictDataset, read_strictly
from workers.encode.source import IDENTIFIERS, PATIENT, STUDY
from workers.encode.validate import content_tree
from workers.encode.validate.structure import CHECKS

# Taken over as the source has it: its codes and references are the source's business.
TAKEN_OVER = frozenset({*PATIENT, *STUDY, "ReferencedRequestSequence", "ReferencedStudySequence", "PredecessorDocumentsSequence"})
UNREADABLE = (ValueError, TypeError, KeyError, EOFError, NotImplementedError, LookupError, struct.error)


def validate(content: bytes, *, within: Iterable[str] | None = None) -> tuple[str, ...]:
    """What is wrong with a result object; empty when nothing is. Never raises for what is in the bytes.

    ``within``: SOP Instance UIDs of the unit and of the object's companions, which alone it may refer to; None: not checked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pydicom warns of is found below, and named
        try:
            return tuple(dict.fromkeys(_problems(*read_strictly(content), within)))
        except UNREADABLE as error:
            return (f"not readable as a DICOM file: {type(error).__name__}",)


def _problems(meta: StrictDataset, document: StrictDataset, within: Iterable[str] | None) -> list[str]:
    problems = [*_meta(meta, document)]
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        return problems
    kind = str(document.get("SOPClassUID", ""))
    rules = IODS.get(kind)
    if rules is None:
        return ["SOPClassUID is of no kind of object that this node makes"]
    problems += [*_modules(document, rules), *_values(document), *_codes(document), *_coding_schemes(document), *_contribution(document)]
    if kind in CHECKS:
        problems += CHECKS[kind](document)
    if kind == Comprehensive3DSRStorage:
        problems += _report(document)
    if within is not None:
        problems += _references(document, frozenset(within))
    return problems


def _meta(meta: StrictDataset, document: StrictDataset) -> Iterator[str]:
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "the transfer syntax is not Explicit VR Little Endian"
        return
    for name, keyword in (("MediaStorageSOPClassUID", "SOPClassUID"), ("MediaStorageSOPInstanceUID", "SOPInstanceUID")):
        if meta.get(name) != document.get(keyword):
            yield f"{name} and {keyword} differ"


def _modules(document: StrictDataset, rules: Iod) -> Iterator[str]:
    for keyword in rules.type_1:
        if keyword not in document:
            yield f"{keyword} (type 1) is missing"
        elif document[keyword].is_empty:
            yield f"{keyword} (type 1) is empty"
    for keyword in rules.type_2:
        if keyword not in document:
            yield f"{keyword} (type 2) is missing"
    for keyword, value in rules.expected.items():
        if keyword in document and document.get(keyword) != value:
            yield f"{keyword} is not {value}"
    for item in document.get("ReferencedRequestSequence", ()):
        for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
            if keyword not in item:
                yield f"{keyword} is missing in a referenced request"


def _values(dataset: StrictDataset) -> Iterator[str]:
    """Every value fits its VR and every UID is one, in sequences too. Identifiers are as the source wrote them."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _values(item)
            continue
        if element.keyword in IDENTIFIERS or element.is_empty or element.VR in BINARY_VRS:
            continue
        for value in element.values if element.VR not in NUMBER_FORMATS else ():
            if element.VR == "UI":
                if not _is_uid(value):
                    yield f"{element.keyword} is no valid UID"
            elif not _fits(element.VR, str(value)):
                yield f"a value of {element.keyword} does not fit VR {element.VR}"


@lru_cache(4096)
def _is_uid(value: str) -> bool:
    return UID(value).is_valid


@lru_cache(4096)
def _fits(vr: str, value: str) -> bool:
    try:
        validate_value(vr, value, config.RAISE)
    except ValueError:
        return False
    return "\ufffd" not in value


def _codes(dataset: StrictDataset) -> Iterator[str]:
    """Every coded concept of our own is known. The tree's are checked with their places (`tree`)."""
    for element in dataset:
        if element.VR != "SQ" or element.keyword in TAKEN_OVER or element.keyword == "ContentSequence":
            continue
        for item in element.value:
            if "CodeValue" in item:
                code = Code(*(str(item.get(word, "")) for word in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")))
                if not content_tree.known(code):
                    yield f"{element.keyword}: code ({code.value}, {code.scheme}, {code.meaning!r}) is not known"
            yield from _codes(item)


def _coding_schemes(document: StrictDataset) -> Iterator[str]:
    named = {item.get("CodingSchemeDesignator") for item in document.get("CodingSchemeIdentificationSequence", ())}
    if private_codes.PRIVATE_SCHEME not in named:
        yield f"the private coding scheme {private_codes.PRIVATE_SCHEME} is not identified"


def _contribution(document: StrictDataset) -> Iterator[str]:
    for item in document.get("ContributingEquipmentSequence", ()):
        for keyword in ("PurposeOfReferenceCodeSequence", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID"):
            if not item.get(keyword):
                yield f"{keyword} of the contributing equipment is missing"


def _report(document: StrictDataset) -> Iterator[str]:
    listed = evidence(document)
    if not listed:
        yield "the evidence lists no image"
    if document.get("ContentSequence"):
        yield from content_tree.problems(document, listed)


def evidence(document: StrictDataset) -> frozenset[tuple[str, str]]:
    """(SOP class, SOP instance) of all that the document says it is based on (PS3.3 C.17.2.3)."""
    found = set()
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in document.get(keyword, ()):
            for series in study.get("ReferencedSeriesSequence", ()):
                for item in series.get("ReferencedSOPSequence", ()):
                    found.add((str(item.get("ReferencedSOPClassUID")), str(item.get("ReferencedSOPInstanceUID"))))
    return frozenset(found)


def _references(document: StrictDataset, within: frozenset[str]) -> Iterator[str]:
    for element in document:
        if element.keyword in TAKEN_OVER:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _references(item, within)
        elif element.keyword == "ReferencedSOPInstanceUID" and str(element.value) not in within:
            yield "an instance is referred to that is neither of the unit nor of this result"
