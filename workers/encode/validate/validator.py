"""The check of every result object before it is stored. Objects with problems are held back and not sent.

Attributes are checked by `core.iods`; values, codes and references here; structure by `object_structure`; a report's tree by
`content_tree`. Public validators (dciodvfy, DicomSRValidator) run in the tests. Problems are sentences without patient values, because
they are stored, logged and shown.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

from pydicom import config
from pydicom.uid import UID, Comprehensive3DSRStorage, ExplicitVRLittleEndian
from pydicom.valuerep import validate_value

from core.concepts import private_codes
from core.iods import IODS, Iod
from core.records import Code
from core.uids import may_be_referred_to
from imaging.wire.notes import warnings_discarded
from imaging.wire.strict_dataset import StrictDataset
from imaging.wire.strict_reader import BINARY_VRS, NUMBER_FORMATS, read_strictly
from workers.encode.known_codes import is_known
from workers.encode.source_images.attributes import IDENTIFIERS, PATIENT, SPECIMEN, STUDY
from workers.encode.validate.content_tree import check_content_tree
from workers.encode.validate.object_structure import CHECKS

# Copied from the source, codes and references included, and not checked.
TAKEN_OVER = frozenset({
    *PATIENT, *STUDY, *SPECIMEN, "ReferencedRequestSequence", "ReferencedStudySequence", "RequestAttributesSequence",
    "PredecessorDocumentsSequence",
})  # fmt: skip
# UIDs that sources have given; Series Instance UID at the outermost level is that of the object itself.
SOURCE_UIDS = frozenset({"StudyInstanceUID", "FrameOfReferenceUID"})
SOURCE_UIDS_IN_SEQUENCES = frozenset({"SeriesInstanceUID", "ReferencedSOPInstanceUID", "ReferencedFrameOfReferenceUID", "UID"})
UNREADABLE = (ValueError, TypeError, KeyError, EOFError, NotImplementedError, LookupError, struct.error)


def validate(content: bytes, *, within: Iterable[str] | None = None) -> tuple[str, ...]:
    """Problems of a result object; () if there are none. Content never makes it raise.

    ``within``: SOP Instance UIDs of the unit and of the related objects, to which alone the object may refer; None: not checked.
    """
    with warnings_discarded():  # pydicom warns of what is reported as a problem below
        try:
            return tuple(dict.fromkeys(_find_problems(*read_strictly(content), within)))
        except UNREADABLE as error:
            return (f"not readable as a DICOM file: {type(error).__name__}",)


def _find_problems(meta: StrictDataset, document: StrictDataset, within: Iterable[str] | None) -> list[str]:
    problems = [*_check_meta(meta, document)]
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        return problems
    kind = str(document.get("SOPClassUID", ""))
    rules = IODS.get(kind)
    if rules is None:
        return ["SOPClassUID is of no kind of object that this node makes"]
    problems += [*_check_modules(document, rules), *_check_values(document), *_check_codes(document)]
    problems += [*_check_coding_schemes(document), *_check_contribution(document)]
    if kind in CHECKS:
        problems += CHECKS[kind](document)
    if kind == Comprehensive3DSRStorage:
        problems += _check_report(document)
    if within is not None:
        problems += _check_references(document, frozenset(within))
    return problems


def _check_meta(meta: StrictDataset, document: StrictDataset) -> Iterator[str]:
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "the transfer syntax is not Explicit VR Little Endian"
        return
    for name, keyword in (("MediaStorageSOPClassUID", "SOPClassUID"), ("MediaStorageSOPInstanceUID", "SOPInstanceUID")):
        if meta.get(name) != document.get(keyword):
            yield f"{name} and {keyword} differ"


def _check_modules(document: StrictDataset, rules: Iod) -> Iterator[str]:
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


def _check_values(dataset: StrictDataset, *, outermost: bool = True) -> Iterator[str]:
    """Every value fits its VR and every UID is valid, in sequences too. Identifiers are copied as the source wrote them."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _check_values(item, outermost=False)
            continue
        if element.keyword in IDENTIFIERS or element.is_empty or element.VR in BINARY_VRS:
            continue
        for value in element.values if element.VR not in NUMBER_FORMATS else ():
            if element.VR == "UI":
                of_source = element.keyword in SOURCE_UIDS or (element.keyword in SOURCE_UIDS_IN_SEQUENCES and not outermost)
                if not (may_be_referred_to(value) if of_source else _is_uid(value)):
                    yield f"{element.keyword} is not a valid UID"
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


def _check_codes(dataset: StrictDataset) -> Iterator[str]:
    """Every code outside of the content tree is known; those in the tree are checked with their positions (`content_tree`)."""
    for element in dataset:
        if element.VR != "SQ" or element.keyword in TAKEN_OVER or element.keyword == "ContentSequence":
            continue
        for item in element.value:
            if "CodeValue" in item:
                code = Code(*(str(item.get(word, "")) for word in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")))
                if not is_known(code):
                    yield f"{element.keyword}: code ({code.value}, {code.scheme}, {code.meaning!r}) is not known"
            yield from _check_codes(item)


def _check_coding_schemes(document: StrictDataset) -> Iterator[str]:
    named = {item.get("CodingSchemeDesignator") for item in document.get("CodingSchemeIdentificationSequence", ())}
    if private_codes.PRIVATE_SCHEME not in named:
        yield f"the private coding scheme {private_codes.PRIVATE_SCHEME} is not identified"


def _check_contribution(document: StrictDataset) -> Iterator[str]:
    for item in document.get("ContributingEquipmentSequence", ()):
        for keyword in ("PurposeOfReferenceCodeSequence", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID"):
            if not item.get(keyword):
                yield f"{keyword} of the contributing equipment is missing"


def _check_report(document: StrictDataset) -> Iterator[str]:
    listed = listed_evidence(document)
    if not listed:
        yield "the evidence lists no image"
    if document.get("ContentSequence"):
        yield from check_content_tree(document, listed)


def listed_evidence(document: StrictDataset) -> frozenset[tuple[str, str]]:
    """(SOP class UID, SOP Instance UID) of all instances that the document lists as evidence (PS3.3 C.17.2.3)."""
    found = set()
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in document.get(keyword, ()):
            for series in study.get("ReferencedSeriesSequence", ()):
                for item in series.get("ReferencedSOPSequence", ()):
                    found.add((str(item.get("ReferencedSOPClassUID")), str(item.get("ReferencedSOPInstanceUID"))))
    return frozenset(found)


def _check_references(document: StrictDataset, within: frozenset[str]) -> Iterator[str]:
    for element in document:
        if element.keyword in TAKEN_OVER:
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _check_references(item, within)
        elif element.keyword == "ReferencedSOPInstanceUID" and str(element.value) not in within:
            yield "an instance is referred to that is neither of the unit nor of this result"
