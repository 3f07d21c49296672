"""The validator's reader of result objects: Explicit VR Little Endian and nothing else (PS3.5 7). Anything wrong is an error.

It shares no code and no tables with `writer` and `data_elements`, and takes VRs and tags from pydicom's tables instead: a mistake in
a shared definition would be written and then read back as correct, and the validator would not see it. It is hand-written because
pydicom repairs what is wrong in a file, and takes 13 times as long for a report (134 to 10 ms on two busy cores).
"""

import re
import struct
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR, TEXT_VR_DELIMS

from imaging.wire.strict_dataset import ElementValue, StrictDataset, StrictElement

NUMBER_FORMATS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "AT": "2H", "UV": "Q", "SV": "q"}
BINARY_VRS = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
SINGLE_TEXT_VRS = frozenset({"ST", "LT", "UT", "UR"})  # a backslash is one of their characters
MAX_DEPTH = 32
_VRS = {str(vr).encode(): str(vr) for vr in STANDARD_VR}
_LONG_VRS = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TAG, _SHORT, _LONG = struct.Struct("<HH"), struct.Struct("<H"), struct.Struct("<L")


def read_strictly(content: bytes) -> tuple[StrictDataset, StrictDataset]:
    """(file meta information, data set) of a Part 10 file; the data set is empty if its transfer syntax is another one.

    Raises
    ------
    ValueError, LookupError, struct.error
        The content is not a Part 10 file, or not in the form of its transfer syntax.
    """
    if content[128:132] != b"DICM":
        raise ValueError("no DICM prefix behind the preamble")
    reader = _Reader(content)
    meta = StrictDataset()
    start = reader.read_elements(meta, 132, len(content), ["iso8859"], 0, group=0x0002)
    document = StrictDataset()
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        return meta, document
    if reader.read_elements(document, start, len(content), ["iso8859"], 0) != len(content):
        raise ValueError("bytes behind the data set")
    return meta, document


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_elements(self, into: StrictDataset, at: int, end: int, codecs: list[str], depth: int, *, group: int | None = None) -> int:
        """Read from ``at`` to ``end``, the delimiter of an item, or the end of ``group``; returns where the next thing begins."""
        content, previous_tag = self.content, -1
        if depth > MAX_DEPTH:
            raise ValueError(f"sequences are nested deeper than {MAX_DEPTH}")
        while at < end:
            high, low = _TAG.unpack_from(content, at)
            if group is not None and high != group:
                return at
            tag = high << 16 | low
            if tag == _ITEM_END:
                return at + 8
            if tag <= previous_tag:
                raise ValueError("elements are not in the order of their tags")
            previous_tag = tag
            vr = _VRS[content[at + 4 : at + 6]]
            if content[at + 4 : at + 6] in _LONG_VRS:
                (length,), at = _LONG.unpack_from(content, at + 8), at + 12
            else:
                (length,), at = _SHORT.unpack_from(content, at + 6), at + 8
            value: ElementValue
            if vr == "SQ":
                value, at = self.read_items(at, end, length, codecs, depth)
            elif at + length > end:  # or of undefined length, which only sequences have in a result object
                raise ValueError("an element reaches beyond its data set or item")
            else:
                value, at = decode_value(vr, content[at : at + length], codecs), at + length
            keyword, allowed = _look_up(tag)
            if allowed and vr not in allowed:
                raise ValueError("an element has another VR than in the dictionary")
            into.add(tag, StrictElement(keyword, vr, value))
            if tag == 0x00080005:
                codecs = convert_encodings(value)
        return at

    def read_items(self, at: int, end: int, length: int, codecs: list[str], depth: int) -> tuple[list[StrictDataset], int]:
        """The items of a sequence, and where the next thing begins."""
        items: list[StrictDataset] = []
        stop = end if length == _UNDEFINED else at + length
        if stop > end:
            raise ValueError("a sequence reaches beyond its data set or item")
        while at < stop:
            (high, low), (size,) = _TAG.unpack_from(self.content, at), _LONG.unpack_from(self.content, at + 4)
            tag, at = high << 16 | low, at + 8
            if tag == _SEQUENCE_END and length == _UNDEFINED:
                return items, at
            if tag != _ITEM or (size != _UNDEFINED and at + size > stop):
                raise ValueError("a sequence holds something else than whole items")
            item = StrictDataset()
            item_end = stop if size == _UNDEFINED else at + size
            at = self.read_elements(item, at, item_end, codecs, depth + 1)
            if size != _UNDEFINED and at != item_end:
                raise ValueError("an item ends before its length")
            items.append(item)
        return items, at


def decode_value(vr: str, raw: bytes, codecs: list[str]) -> ElementValue:
    """A value without its padding. ``codecs``: Python's names of the character sets."""
    if vr in BINARY_VRS:
        return raw
    if vr in NUMBER_FORMATS:
        if not raw:
            return ""
        form = NUMBER_FORMATS[vr]
        numbers = list(struct.unpack(f"<{len(raw) // struct.calcsize('<' + form) * form}", raw))
        return numbers[0] if len(numbers) == 1 else numbers
    text = raw.decode("ascii") if raw.isascii() and b"\x1b" not in raw else decode_bytes(raw, codecs, TEXT_VR_DELIMS)
    text = text.rstrip("\0 ")
    if vr in SINGLE_TEXT_VRS or "\\" not in text:
        return _check_number(vr, text)
    return [_check_number(vr, part.rstrip("\0 ")) for part in text.split("\\")]


def _check_number(vr: str, text: str) -> str | int:
    """IS as int, other text unchanged. Raises ValueError for IS or DS that is not a number."""
    if vr == "IS" and text:
        if not _WHOLE_NUMBER.fullmatch(text.strip(" ")):
            raise ValueError("an integer string is not a whole number")
        return int(text)
    if vr == "DS" and text:
        float(text)
    return text


@lru_cache(4096)
def _look_up(tag: int) -> tuple[str, frozenset[str]]:
    """Keyword and VRs in the dictionary; ("", nothing) for a tag that it does not have."""
    keyword = keyword_for_tag(tag)
    return keyword, frozenset(dictionary_VR(tag).split(" or ") if keyword else ())
