"""The content tree of a report, checked: value types, relationships, codes, references, and what TID 1500 asks for."""

import math
from collections.abc import Iterator
from functools import cache, lru_cache

from pydicom.sr._concepts_dict import concepts

from core import codes, private_codes
from core.records import Code
from imaging.wire.strict_reader import StrictDataset

Evidence = frozenset[tuple[str, str]]
Path = str

_LEAVES = frozenset({"TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME"})
_REFERENCES = frozenset({"IMAGE", "WAVEFORM", "COMPOSITE", "SCOORD", "SCOORD3D", "TCOORD"})
# Comprehensive 3D SR, PS3.3 table A.35.13-2: source value types, relationship, target value types
RELATIONSHIPS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "CONTAINS": (frozenset({"CONTAINER"}), _LEAVES | _REFERENCES | {"CONTAINER"}),
    "HAS OBS CONTEXT": (frozenset({"CONTAINER", "TEXT", "CODE", "NUM"}), _LEAVES | {"COMPOSITE"}),
    "HAS ACQ CONTEXT": (frozenset({"CONTAINER", "IMAGE", "WAVEFORM", "COMPOSITE", "NUM"}), _LEAVES | {"CONTAINER"}),
    "HAS CONCEPT MOD": (_LEAVES | _REFERENCES | {"CONTAINER"}, frozenset({"TEXT", "CODE"})),
    "HAS PROPERTIES": (frozenset({"TEXT", "CODE", "NUM"}), _LEAVES | _REFERENCES | {"CONTAINER"}),
    "INFERRED FROM": (frozenset({"TEXT", "CODE", "NUM"}), _LEAVES | _REFERENCES | {"CONTAINER"}),
    "SELECTED FROM": (frozenset({"SCOORD", "TCOORD", "SCOORD3D"}), frozenset({"IMAGE", "WAVEFORM", "SCOORD", "SCOORD3D"})),
}
LANGUAGE_SCHEME = "RFC5646"
OBSERVER_TYPE = ("121005", "DCM")
DEVICE_UID = ("121012", "DCM")
DEVICE_NAME = ("121013", "DCM")
PROCEDURE_REPORTED = ("121058", "DCM")
IMAGING_MEASUREMENTS = ("126010", "DCM")
MEASUREMENT_GROUP = ("125007", "DCM")
TRACKING_IDENTIFIER = ("112039", "DCM")
TRACKING_UID = ("112040", "DCM")
SEGMENT_OF_A_GROUP = (("121191", "DCM"), ("121214", "DCM"))  # Referenced Segment, Referenced Segmentation Frame
ALGORITHM_NAME = ("111001", "DCM")
ALGORITHM_VERSION = ("111003", "DCM")
ALGORITHM_PARAMETERS = ("111002", "DCM")
IN_A_GROUP = {
    TRACKING_IDENTIFIER: "tracking identifier",
    TRACKING_UID: "tracking unique identifier",
    ALGORITHM_NAME: "algorithm name",
    ALGORITHM_VERSION: "algorithm version",
    ALGORITHM_PARAMETERS: "pipeline digest",
}
WHERE_REPORTED = {OBSERVER_TYPE: "observer type", DEVICE_UID: "device observer UID", DEVICE_NAME: "device observer name"}


def problems(document: StrictDataset, evidence: Evidence) -> list[str]:
    """Everything that is wrong in the tree, in its order; places as 1.8.2 (root 1, then the number of the item)."""
    return [*_template(document), *_code(document, "ConceptNameCodeSequence", "1"), *_items(document, "1", evidence), *_required(document)]


def _template(document: StrictDataset) -> Iterator[str]:
    named = [(item.get("TemplateIdentifier"), item.get("MappingResource")) for item in document.get("ContentTemplateSequence", ())]
    if named != [("1500", "DCMR")]:
        yield "the root template is not TID 1500 of DCMR"


def _items(parent: StrictDataset, place: Path, evidence: Evidence) -> Iterator[str]:
    for number, item in enumerate(parent.get("ContentSequence", ()), 1):
        here = f"{place}.{number}"
        kind, relationship = item.get("ValueType"), item.get("RelationshipType")
        if relationship not in RELATIONSHIPS:
            yield f"{here}: relationship {relationship!r} is none of Comprehensive 3D SR"
        else:
            sources, targets = RELATIONSHIPS[relationship]
            if parent.get("ValueType") not in sources or kind not in targets:
                yield f"{here}: {parent.get('ValueType')} {relationship} {kind} is not allowed"
        if kind not in {"IMAGE", "WAVEFORM", "COMPOSITE"} or "ConceptNameCodeSequence" in item:
            yield from _code(item, "ConceptNameCodeSequence", here)
        yield from _value(item, str(kind), here, evidence)
        yield from _items(item, here, evidence)


def _value(item: StrictDataset, kind: str, place: Path, evidence: Evidence) -> Iterator[str]:
    if kind == "CODE":
        yield from _code(item, "ConceptCodeSequence", place)
    elif kind == "TEXT" and not str(item.get("TextValue", "")).strip():
        yield f"{place}: a text without text"
    elif kind == "UIDREF" and not item.get("UID"):
        yield f"{place}: a UID reference without UID"
    elif kind == "NUM":
        yield from _number(item, place)
    elif kind in {"IMAGE", "COMPOSITE"}:
        yield from _reference(item, place, evidence)
    elif kind in {"SCOORD", "SCOORD3D"}:
        yield from _coordinates(item, kind, place)


def _number(item: StrictDataset, place: Path) -> Iterator[str]:
    measured = item.get("MeasuredValueSequence", ())
    if len(measured) != 1 or measured[0].get("NumericValue") in (None, ""):
        yield f"{place}: a measurement without value"
        return
    if not math.isfinite(float(str(measured[0].get("NumericValue")))):
        yield f"{place}: a measurement that is no finite number"
    yield from _code(measured[0], "MeasurementUnitsCodeSequence", place)
    units = measured[0].get("MeasurementUnitsCodeSequence", ())
    if any(unit.get("CodingSchemeDesignator") != "UCUM" for unit in units):
        yield f"{place}: a unit that is not of UCUM"


def _reference(item: StrictDataset, place: Path, evidence: Evidence) -> Iterator[str]:
    references = item.get("ReferencedSOPSequence", ())
    if len(references) != 1:
        yield f"{place}: a reference needs exactly one instance"
        return
    if (str(references[0].get("ReferencedSOPClassUID")), str(references[0].get("ReferencedSOPInstanceUID"))) not in evidence:
        yield f"{place}: an instance that the evidence does not list"


def _coordinates(item: StrictDataset, kind: str, place: Path) -> Iterator[str]:
    size = 2 if kind == "SCOORD" else 3
    data = item.get("GraphicData") or ()
    numbers = [float(str(number)) for number in (data if isinstance(data, (list, tuple)) else [data])]
    wrong = len(numbers) != size if item.get("GraphicType") == "POINT" else not numbers or len(numbers) % size
    if wrong or not all(math.isfinite(number) for number in numbers):
        yield f"{place}: coordinates that do not make a {item.get('GraphicType')}"
    if kind == "SCOORD3D" and not item.get("ReferencedFrameOfReferenceUID"):
        yield f"{place}: coordinates without frame of reference"
    children = [(child.get("RelationshipType"), child.get("ValueType")) for child in item.get("ContentSequence", ())]
    if kind == "SCOORD" and ("SELECTED FROM", "IMAGE") not in children:
        yield f"{place}: coordinates that are selected from no image"


def _code(item: StrictDataset, keyword: str, place: Path) -> Iterator[str]:
    """One item with value, scheme and meaning; published as the standard's dictionary has it, or declared by us."""
    sequence = item.get(keyword, ())
    if len(sequence) != 1:
        yield f"{place}: {keyword} needs exactly one item"
        return
    code = sequence[0]
    value = str(code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or "")
    scheme, meaning = str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", ""))
    if not value or not scheme or not meaning:
        yield f"{place}: {keyword} lacks a value, a scheme or a meaning"
    elif not known(Code(value, scheme, meaning)):
        yield f"{place}: code ({value}, {scheme}, {meaning!r}) is not known"


@lru_cache(4096)
def known(code: Code) -> bool:
    """Whether a code is ours as declared, the standard's with one of its meanings, or a language tag."""
    ours = codes.find_code(code.value, code.scheme)
    if ours is not None and ours == code:
        return True
    return code.scheme == LANGUAGE_SCHEME or code.meaning in _published(code.scheme).get(code.value, ())


@cache
def _published(scheme: str) -> dict[str, frozenset[str]]:
    """Value -> meanings of a scheme in the DICOM content mapping resource."""
    found: dict[str, set[str]] = {}
    keywords: dict[str, dict[str, tuple[str, list[int]]]] = concepts.get(scheme, {})  # type: ignore[assignment]
    for entries in keywords.values():
        for value, (meaning, _) in entries.items():
            found.setdefault(value, set()).add(meaning)
    return {value: frozenset(meanings) for value, meanings in found.items()}


def _name(item: StrictDataset) -> tuple[str, str]:
    sequence = item.get("ConceptNameCodeSequence", ())
    return (str(sequence[0].get("CodeValue")), str(sequence[0].get("CodingSchemeDesignator"))) if len(sequence) == 1 else ("", "")


def _children(item: StrictDataset, name: tuple[str, str]) -> list[StrictDataset]:
    return [child for child in item.get("ContentSequence", ()) if _name(child) == name]


def _required(document: StrictDataset) -> Iterator[str]:
    """What a reader relies on: who observed, what was reported, each group tracked and attributed, and the caveats."""
    for name, words in WHERE_REPORTED.items():
        if not _children(document, name):
            yield f"the {words} is missing"
    reported = [code for child in _children(document, PROCEDURE_REPORTED) for code in child.get("ConceptCodeSequence", ())[:1]]
    procedures = [code.get("CodeValue") for code in reported]
    if not procedures or not set(procedures) <= {codes.PROCEDURE_CT.value, codes.PROCEDURE_IMAGING.value}:
        yield "the procedure reported is missing, or none of CID 100 that this node reports"
    containers = _children(document, IMAGING_MEASUREMENTS)
    groups = [group for container in containers for group in _children(container, MEASUREMENT_GROUP)]
    if not groups:
        yield "there is no measurement group"
    tracked = []
    for group in groups:
        for name, words in IN_A_GROUP.items():
            if not _children(group, name):
                yield f"a measurement group has no {words}"
        outlined = any(_children(group, name) for name in SEGMENT_OF_A_GROUP)  # a finding's point and its segment are two groups
        tracked += [(str(child.get("UID")), outlined) for child in _children(group, TRACKING_UID)]
        yield from _group_says_something(group)
    if len(tracked) != len(set(tracked)):
        yield "two measurement groups of a kind have the same tracking UID"
    statements = _children(document, (codes.QUALITATIVE_EVALUATIONS.value, codes.QUALITATIVE_EVALUATIONS.scheme))
    for code, words in (
        (private_codes.NOT_FOR, "sentence what it is not for"),
        (codes.SUMMARY, "outcome"),
        (private_codes.STATUS, "status of the model"),
    ):
        if not any(_children(container, (code.value, code.scheme)) for container in statements):
            yield f"the {words} is missing"


def _group_says_something(group: StrictDataset) -> Iterator[str]:
    """A finding has its tier; a group without finding says what was looked for, or why there is nothing."""
    if _children(group, ("121071", "DCM")):
        if not _children(group, (private_codes.TIER.value, private_codes.TIER.scheme)):
            yield "a finding has no confidence tier"
    elif not any(_children(group, (code.value, code.scheme)) for code in (private_codes.LOOKED_FOR, private_codes.REASON)):
        yield "a group without finding says neither what was looked for nor why there is no result"
