"""Content items of a structured report (PS3.3 C.17.3.2): plain records that are written directly as bytes.

A report has about fifty of them. As pydicom data sets, whose elements are checked when they are set, they would take most of the time
that the report of a photograph takes. `workers.encode.validate` checks the bytes of every report all the same.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage
from pydicom.valuerep import format_number_as_ds

from core.records import Code
from imaging.wire.data_elements import encode_element, encode_item, encode_uid, pad_to_even
from imaging.wire.writer import EncodeText

# Relationship Type (PS3.3 C.17.3.2.4)
CONTAINS = "CONTAINS"
HAS_CONCEPT_MOD, HAS_OBS_CONTEXT, HAS_ACQ_CONTEXT = "HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS ACQ CONTEXT"
INFERRED_FROM, SELECTED_FROM = "INFERRED FROM", "SELECTED FROM"
MAX_CODE_VALUE = 16  # characters of Code Value (VR SH); longer ones are Long Code Value or URN Code Value
# Objects without pixels, to which a report refers by COMPOSITE; to all others by IMAGE.
NOT_IMAGES = frozenset({str(EncapsulatedPDFStorage), str(KeyObjectSelectionDocumentStorage), str(Comprehensive3DSRStorage)})

# SOP class and instance UID of an image, and frame numbers of a multi-frame image.
Reference = tuple[str, str, list[int] | None]
# Bytes are encoded already; text is encoded with the document's character set; a code becomes the one item of its sequence.
ItemValue = bytes | str | Code
ItemElement = tuple[int, str, ItemValue]  # tag, VR, value


@dataclass(frozen=True, slots=True)
class ContentItem:
    """A content item. ``kind``: Value Type. ``name`` None: it has no concept name. ``relation``: Relationship Type, "" for the root."""

    kind: str
    name: Code | None
    relation: str
    values: tuple[ItemElement, ...] = ()
    children: tuple["ContentItem", ...] = ()

    def with_children(self, *children: "ContentItem") -> Self:
        """A copy with these children in place of its own."""
        return replace(self, children=children)

    def encode_elements(self, encode_text: EncodeText) -> list[tuple[int, str, bytes]]:
        """(tag, VR, content) in the order of the tags. Raises UnicodeError for a text that ``encode_text`` cannot encode."""
        encoded = [(tag, vr, _encode_value(value, encode_text)) for tag, vr, value in self.values]
        encoded.append((0x0040A040, "CS", _ascii(self.kind)))
        if self.relation:
            encoded.append((0x0040A010, "CS", _ascii(self.relation)))
        if self.name is not None:
            encoded.append((0x0040A043, "SQ", _code_sequence(self.name, encode_text)))
        if self.children:
            encoded.append((0x0040A730, "SQ", b"".join(encode_item(child.encode(encode_text)) for child in self.children)))
        return sorted(encoded)

    def encode(self, encode_text: EncodeText) -> bytes:
        """The elements of the item, without the item's own header."""
        return b"".join(encode_element(*element) for element in self.encode_elements(encode_text))

    def raw_elements(self, encode_text: EncodeText) -> list[RawDataElement]:
        """The elements as encoded elements of a pydicom data set."""
        return [RawDataElement(BaseTag(tag), vr, len(raw), raw, 0, False, True) for tag, vr, raw in self.encode_elements(encode_text)]


def _ascii(text: str) -> bytes:
    return pad_to_even(text.encode("ascii"))


def _encode_value(value: ItemValue, encode_text: EncodeText) -> bytes:
    if isinstance(value, bytes):
        return value
    return _code_sequence(value, encode_text) if isinstance(value, Code) else pad_to_even(encode_text(value))


@lru_cache(1024)
def _code_sequence(code: Code, encode_text: EncodeText) -> bytes:
    """The one item of a code sequence (PS3.3 8.8)."""
    number = 0x00080100
    if len(code.value) > MAX_CODE_VALUE:
        number = 0x00080120 if code.value.startswith("urn") or "://" in code.value else 0x00080119
    elements = {
        number: ("SH" if number == 0x00080100 else "UR" if number == 0x00080120 else "UC", code.value),
        0x00080102: ("SH", code.scheme),
        0x00080104: ("LO", code.meaning),
    }
    return encode_item(b"".join(encode_element(tag, vr, pad_to_even(encode_text(text))) for tag, (vr, text) in sorted(elements.items())))


def text_item(name: Code, text: str, relation: str = CONTAINS) -> ContentItem:
    """TEXT: Text Value."""
    return ContentItem("TEXT", name, relation, ((0x0040A160, "UT", text),))


def person_item(name: Code, person: str, relation: str = CONTAINS) -> ContentItem:
    """PNAME: Person Name, here one component; characters that separate components are replaced (PS3.5 6.2.1)."""
    plain = person.translate(str.maketrans("^=\\", "___")) + "^"  # a name without delimiter is of the retired form
    return ContentItem("PNAME", name, relation, ((0x0040A123, "PN", plain),))


def code_item(name: Code, value: Code, relation: str = CONTAINS) -> ContentItem:
    """CODE: Concept Code Sequence."""
    return ContentItem("CODE", name, relation, ((0x0040A168, "SQ", value),))


def uid_item(name: Code, uid: str, relation: str = CONTAINS) -> ContentItem:
    """UIDREF: UID."""
    return ContentItem("UIDREF", name, relation, ((0x0040A124, "UI", encode_uid(uid)),))


def date_item(name: Code, date: str, relation: str = CONTAINS) -> ContentItem:
    """DATE: a date as eight digits (VR DA)."""
    return ContentItem("DATE", name, relation, ((0x0040A121, "DA", _ascii(date)),))


def number_item(name: Code, value: float, unit: Code, relation: str = CONTAINS) -> ContentItem:
    """NUM: Numeric Value as decimal text, and Floating Point Value besides if ``value`` is a float."""
    exact = encode_element(0x0040A161, "FD", struct.pack("<d", value)) if isinstance(value, float) else b""
    decimal = encode_element(0x0040A30A, "DS", _ascii(format_number_as_ds(float(value)).removesuffix(".0")))
    # Units are UCUM codes, which are ASCII.
    units = encode_element(0x004008EA, "SQ", _code_sequence(unit, str.encode))
    return ContentItem("NUM", name, relation, ((0x0040A300, "SQ", encode_item(units + exact + decimal)),))


def container_item(
    name: Code, children: Sequence[ContentItem], relation: str = CONTAINS, *, template: str = "", flow: str = "CONTINUOUS"
) -> ContentItem:
    """CONTAINER. ``relation`` "": the root of a document. ``template``: of DCMR. ``flow``: Continuity Of Content (PS3.3 C.18.8)."""
    values: list[ItemElement] = [(0x0040A050, "CS", _ascii(flow))]
    if template:
        identification = encode_element(0x00080105, "CS", b"DCMR") + encode_element(0x0040DB00, "CS", _ascii(template))
        values.append((0x0040A504, "SQ", encode_item(identification)))
    return ContentItem("CONTAINER", name, relation, tuple(values), tuple(children))


def key_object_root(title: Code, children: Sequence[ContentItem]) -> ContentItem:
    """The root of a Key Object Selection (TID 2010)."""
    return container_item(title, children, relation="", template="2010", flow="SEPARATE")


def reference_item(name: Code | None, reference: Reference, relation: str = CONTAINS, *, segment: int | None = None) -> ContentItem:
    """IMAGE, or COMPOSITE for an object without pixels (PS3.3 C.18.3, C.18.4). ``segment``: of a segmentation."""
    sop_class_uid, sop_instance_uid, frames = reference
    kind = "COMPOSITE" if sop_class_uid in NOT_IMAGES else "IMAGE"
    parts = [encode_element(0x00081150, "UI", encode_uid(sop_class_uid)), encode_element(0x00081155, "UI", encode_uid(sop_instance_uid))]
    if frames:
        parts.append(encode_element(0x00081160, "IS", _ascii("\\".join(map(str, frames)))))
    if segment is not None:
        parts.append(encode_element(0x0062000B, "US", struct.pack("<H", segment)))
    return ContentItem(kind, name, relation, ((0x00081199, "SQ", encode_item(b"".join(parts))),))


def image_point_item(
    name: Code, place: tuple[float, float], source: ContentItem, relation: str = CONTAINS, *, on_matrix: bool = False
) -> ContentItem:
    """SCOORD: a point (column, row) on the image that ``source`` refers to (PS3.3 C.18.6).

    ``on_matrix``: in the Total Pixel Matrix of a tiled image, not in a frame (Pixel Origin Interpretation VOLUME, C.18.6.1).
    """
    origin: tuple[ItemElement, ...] = ((0x00480301, "CS", _ascii("VOLUME")),) if on_matrix else ()
    return ContentItem("SCOORD", name, relation, (*_graphic_point(place), *origin), (source,))


def space_point_item(name: Code, place: tuple[float, float, float], frame_of_reference_uid: str, relation: str = CONTAINS) -> ContentItem:
    """SCOORD3D: a point in LPS mm in a frame of reference (PS3.3 C.18.9)."""
    return ContentItem("SCOORD3D", name, relation, (*_graphic_point(place), (0x30060024, "UI", encode_uid(frame_of_reference_uid))))


def _graphic_point(place: Sequence[float]) -> tuple[ItemElement, ...]:
    return (0x00700022, "FL", struct.pack(f"<{len(place)}f", *place)), (0x00700023, "CS", _ascii("POINT"))
