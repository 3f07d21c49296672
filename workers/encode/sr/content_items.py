"""Content items of a structured report (PS3.3 C.17.3.2): plain records, written straight into bytes.

A report has some fifty of them. As data sets, each element an object that is checked when it is set, they take most of the time that
a photograph's report takes; `validate` checks what was written all the same.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Self

from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pydicom.valuerep import format_number_as_ds

from core.records import Code
from imaging.wire.data_elements import encode_element, encode_item, pad_to_even
from imaging.wire.writer import EncodeText

CONTAINS, MODIFIED, OBSERVED, ACQUIRED = "CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "HAS ACQ CONTEXT"
INFERRED, SELECTED = "INFERRED FROM", "SELECTED FROM"
LONGEST_SHORT_CODE = 16

# Of an image: SOP class, SOP instance, and frame numbers where it has several.
Reference = tuple[str, str, list[int] | None]
# Bytes are ready; text waits for the character set; a code is the one item of its sequence.
Value = bytes | str | Code
Element = tuple[int, str, Value]


@dataclass(frozen=True, slots=True)
class Item:
    """``name`` None: the row of the template has no concept name. ``relation`` empty: the root."""

    kind: str
    name: Code | None
    relation: str
    values: tuple[Element, ...] = ()
    children: tuple["Item", ...] = ()

    def having(self, *children: "Item") -> Self:
        """With these children in the place of its own."""
        return replace(self, children=children)

    def elements(self, encode: EncodeText) -> list[tuple[int, str, bytes]]:
        """(tag, VR, content) in the order of the tags. Raises UnicodeError for a text that ``encode`` does not take."""
        found = [(tag, vr, _content(value, encode)) for tag, vr, value in self.values]
        found.append((0x0040A040, "CS", _ascii(self.kind)))
        if self.relation:
            found.append((0x0040A010, "CS", _ascii(self.relation)))
        if self.name is not None:
            found.append((0x0040A043, "SQ", _coded(self.name, encode)))
        if self.children:
            found.append((0x0040A730, "SQ", b"".join(encode_item(child.written(encode)) for child in self.children)))
        return sorted(found)

    def written(self, encode: EncodeText) -> bytes:
        return b"".join(encode_element(*one) for one in self.elements(encode))

    def raw(self, encode: EncodeText) -> list[RawDataElement]:
        """Its elements as a data set takes them that is written next."""
        return [RawDataElement(BaseTag(tag), vr, len(raw), raw, 0, False, True) for tag, vr, raw in self.elements(encode)]


def _ascii(words: str) -> bytes:
    return pad_to_even(words.encode("ascii"))


def _uid(uid: str) -> bytes:
    return pad_to_even(uid.encode("latin-1"), b"\0")


def _content(value: Value, encode: EncodeText) -> bytes:
    if isinstance(value, bytes):
        return value
    return _coded(value, encode) if isinstance(value, Code) else pad_to_even(encode(value))


@lru_cache(1024)
def _coded(code: Code, encode: EncodeText) -> bytes:
    """The item of a code sequence (PS3.3 8.8)."""
    number = 0x00080100
    if len(code.value) > LONGEST_SHORT_CODE:
        number = 0x00080120 if code.value.startswith("urn") or "://" in code.value else 0x00080119
    given = {
        number: ("SH" if number == 0x00080100 else "UR" if number == 0x00080120 else "UC", code.value),
        0x00080102: ("SH", code.scheme),
        0x00080104: ("LO", code.meaning),
    }
    return encode_item(b"".join(encode_element(tag, vr, pad_to_even(encode(words))) for tag, (vr, words) in sorted(given.items())))


def text(name: Code, words: str, relation: str = CONTAINS) -> Item:
    return Item("TEXT", name, relation, ((0x0040A160, "UT", words),))


def coded(name: Code, value: Code, relation: str = CONTAINS) -> Item:
    return Item("CODE", name, relation, ((0x0040A168, "SQ", value),))


def unique(name: Code, uid: str, relation: str = CONTAINS) -> Item:
    return Item("UIDREF", name, relation, ((0x0040A124, "UI", _uid(uid)),))


def number(name: Code, value: float, unit: Code, relation: str = CONTAINS) -> Item:
    """``value`` as decimal text, and exactly where it is no whole number's type."""
    exact = encode_element(0x0040A161, "FD", struct.pack("<d", value)) if isinstance(value, float) else b""
    decimal = encode_element(0x0040A30A, "DS", _ascii(format_number_as_ds(float(value))))
    # Units are of UCUM, and so ASCII
    units = encode_element(0x004008EA, "SQ", _coded(unit, str.encode))
    return Item("NUM", name, relation, ((0x0040A300, "SQ", encode_item(units + exact + decimal)),))


def container(name: Code, children: Sequence[Item], relation: str = CONTAINS, *, template: str = "", flow: str = "CONTINUOUS") -> Item:
    """``relation`` empty: the root of a document. ``flow``: Continuity Of Content (PS3.3 C.18.8)."""
    values: list[Element] = [(0x0040A050, "CS", _ascii(flow))]
    if template:
        of = encode_element(0x00080105, "CS", b"DCMR") + encode_element(0x0040DB00, "CS", _ascii(template))
        values.append((0x0040A504, "SQ", encode_item(of)))
    return Item("CONTAINER", name, relation, tuple(values), tuple(children))


def selection(title: Code, children: Sequence[Item]) -> Item:
    """The root of a Key Object Selection (TID 2010)."""
    return container(title, children, relation="", template="2010", flow="SEPARATE")


def image(name: Code | None, of: Reference, relation: str = CONTAINS, *, segment: int | None = None, kind: str = "IMAGE") -> Item:
    """A reference (PS3.3 C.18.3, C.18.4). ``segment``: of a segmentation. ``kind`` COMPOSITE: to what has no pixels."""
    sop_class_uid, sop_instance_uid, frames = of
    parts = [encode_element(0x00081150, "UI", _uid(sop_class_uid)), encode_element(0x00081155, "UI", _uid(sop_instance_uid))]
    if frames:
        parts.append(encode_element(0x00081160, "IS", _ascii("\\".join(map(str, frames)))))
    if segment is not None:
        parts.append(encode_element(0x0062000B, "US", struct.pack("<H", segment)))
    return Item(kind, name, relation, ((0x00081199, "SQ", encode_item(b"".join(parts))),))


def point(name: Code, place: tuple[float, float], source: Item, relation: str = CONTAINS) -> Item:
    """(column, row) on an image (PS3.3 C.18.6), which ``source`` refers to."""
    return Item("SCOORD", name, relation, _graphic(place), (source,))


def point_in_space(name: Code, place: tuple[float, float, float], frame_of_reference_uid: str, relation: str = CONTAINS) -> Item:
    """LPS mm in a frame of reference (PS3.3 C.18.9)."""
    return Item("SCOORD3D", name, relation, (*_graphic(place), (0x30060024, "UI", _uid(frame_of_reference_uid))))


def _graphic(place: Sequence[float]) -> tuple[Element, ...]:
    return (0x00700022, "FL", struct.pack(f"<{len(place)}f", *place)), (0x00700023, "CS", _ascii("POINT"))
