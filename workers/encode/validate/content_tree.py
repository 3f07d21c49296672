"""Check of a report's content tree: value types, relationships, codes, references and coordinates (PS3.3 C.17.3, A.35.13)."""

import math
from collections.abc import Iterator

from core.records import Code
from imaging.wire.strict_dataset import StrictDataset
from workers.encode.known_codes import is_known
from workers.encode.validate.report_requirements import missing_from_report

Evidence = frozenset[tuple[str, str]]  # (SOP class UID, SOP Instance UID) of what the document lists as evidence
Position = str  # of an item in the tree: 1.8.2 is item 2 of item 8 of the root

_LEAVES = frozenset({"TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME"})
_REFERENCES = frozenset({"IMAGE", "WAVEFORM", "COMPOSITE", "SCOORD", "SCOORD3D", "TCOORD"})
# Comprehensive 3D SR (PS3.3 table A.35.13-2): relationship: source value types, target value types
RELATIONSHIPS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "CONTAINS": (frozenset({"CONTAINER"}), _LEAVES | _REFERENCES | {"CONTAINER"}),
    "HAS OBS CONTEXT": (frozenset({"CONTAINER", "TEXT", "CODE", "NUM"}), _LEAVES | {"COMPOSITE"}),
    "HAS ACQ CONTEXT": (frozenset({"CONTAINER", "IMAGE", "WAVEFORM", "COMPOSITE", "NUM"}), _LEAVES | {"CONTAINER"}),
    "HAS CONCEPT MOD": (_LEAVES | _REFERENCES | {"CONTAINER"}, frozenset({"TEXT", "CODE"})),
    "HAS PROPERTIES": (frozenset({"TEXT", "CODE", "NUM"}), _LEAVES | _REFERENCES | {"CONTAINER"}),
    "INFERRED FROM": (frozenset({"TEXT", "CODE", "NUM"}), _LEAVES | _REFERENCES | {"CONTAINER"}),
    "SELECTED FROM": (frozenset({"SCOORD", "TCOORD", "SCOORD3D"}), frozenset({"IMAGE", "WAVEFORM", "SCOORD", "SCOORD3D"})),
}


def check_content_tree(document: StrictDataset, evidence: Evidence) -> list[str]:
    """Problems of the tree in the order of its items, then what is missing from the report."""
    return [
        *_check_template(document),
        *_check_code(document, "ConceptNameCodeSequence", "1"),
        *_check_items(document, "1", evidence),
        *missing_from_report(document),
    ]


def _check_template(document: StrictDataset) -> Iterator[str]:
    named = [(item.get("TemplateIdentifier"), item.get("MappingResource")) for item in document.get("ContentTemplateSequence", ())]
    if named != [("1500", "DCMR")]:
        yield "the root template is not TID 1500 of DCMR"


def _check_items(parent: StrictDataset, position: Position, evidence: Evidence) -> Iterator[str]:
    for number, item in enumerate(parent.get("ContentSequence", ()), 1):
        child_position = f"{position}.{number}"
        kind, relationship = item.get("ValueType"), item.get("RelationshipType")
        if relationship not in RELATIONSHIPS:
            yield f"{child_position}: relationship {relationship!r} is none of Comprehensive 3D SR"
        else:
            sources, targets = RELATIONSHIPS[relationship]
            if parent.get("ValueType") not in sources or kind not in targets:
                yield f"{child_position}: {parent.get('ValueType')} {relationship} {kind} is not allowed"
        if kind not in {"IMAGE", "WAVEFORM", "COMPOSITE"} or "ConceptNameCodeSequence" in item:
            yield from _check_code(item, "ConceptNameCodeSequence", child_position)
        yield from _check_value(item, str(kind), child_position, evidence)
        yield from _check_items(item, child_position, evidence)


def _check_value(item: StrictDataset, kind: str, position: Position, evidence: Evidence) -> Iterator[str]:
    if kind == "CODE":
        yield from _check_code(item, "ConceptCodeSequence", position)
    elif kind == "TEXT" and not str(item.get("TextValue", "")).strip():
        yield f"{position}: a text without text"
    elif kind == "UIDREF" and not item.get("UID"):
        yield f"{position}: a UID reference without UID"
    elif kind == "NUM":
        yield from _check_number(item, position)
    elif kind in {"IMAGE", "COMPOSITE"}:
        yield from _check_reference(item, position, evidence)
    elif kind in {"SCOORD", "SCOORD3D"}:
        yield from _check_coordinates(item, kind, position)


def _check_number(item: StrictDataset, position: Position) -> Iterator[str]:
    measured = item.get("MeasuredValueSequence", ())
    if len(measured) != 1 or measured[0].get("NumericValue") in (None, ""):
        yield f"{position}: a measurement without value"
        return
    if not math.isfinite(float(str(measured[0].get("NumericValue")))):
        yield f"{position}: a measurement is not a finite number"
    yield from _check_code(measured[0], "MeasurementUnitsCodeSequence", position)
    units = measured[0].get("MeasurementUnitsCodeSequence", ())
    if any(unit.get("CodingSchemeDesignator") != "UCUM" for unit in units):
        yield f"{position}: a unit that is not of UCUM"


def _check_reference(item: StrictDataset, position: Position, evidence: Evidence) -> Iterator[str]:
    references = item.get("ReferencedSOPSequence", ())
    if len(references) != 1:
        yield f"{position}: a reference needs exactly one instance"
        return
    if (str(references[0].get("ReferencedSOPClassUID")), str(references[0].get("ReferencedSOPInstanceUID"))) not in evidence:
        yield f"{position}: an instance that the evidence does not list"


def _check_coordinates(item: StrictDataset, kind: str, position: Position) -> Iterator[str]:
    size = 2 if kind == "SCOORD" else 3
    data = item.get("GraphicData") or ()
    numbers = [float(str(number)) for number in (data if isinstance(data, (list, tuple)) else [data])]
    wrong = len(numbers) != size if item.get("GraphicType") == "POINT" else not numbers or len(numbers) % size
    if wrong or not all(math.isfinite(number) for number in numbers):
        yield f"{position}: coordinates that do not make a {item.get('GraphicType')}"
    if kind == "SCOORD3D" and not item.get("ReferencedFrameOfReferenceUID"):
        yield f"{position}: coordinates without frame of reference"
    children = [(child.get("RelationshipType"), child.get("ValueType")) for child in item.get("ContentSequence", ())]
    if kind == "SCOORD" and ("SELECTED FROM", "IMAGE") not in children:
        yield f"{position}: coordinates that are selected from no image"


def _check_code(item: StrictDataset, keyword: str, position: Position) -> Iterator[str]:
    """A code sequence has one item with value, scheme and meaning, of a known code."""
    sequence = item.get(keyword, ())
    if len(sequence) != 1:
        yield f"{position}: {keyword} needs exactly one item"
        return
    code = sequence[0]
    value = str(code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or "")
    scheme, meaning = str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", ""))
    if not value or not scheme or not meaning:
        yield f"{position}: {keyword} lacks a value, a scheme or a meaning"
    elif not is_known(Code(value, scheme, meaning)):
        yield f"{position}: code ({value}, {scheme}, {meaning!r}) is not known"
