"""A scan over the bytes of a plain, well-formed Part 10 file that picks out the values of wanted elements.

Nothing is tolerated here. At the first thing that is not as PS3.5 says, or that the tolerant reader treats in a way of its own, it
raises one of `NOT_PLAIN_ERRORS`, and the caller asks that reader, so that both never differ
(tests/imaging/headers/test_fast_header.py compares them).
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from imaging.wire.data_elements import (
    EXPLICIT_HEADER,
    IMPLICIT_HEADER,
    ITEM,
    ITEM_END,
    LENGTH,
    PIXEL_DATA_TAGS,
    SEQUENCE_END,
    SPECIFIC_CHARACTER_SET,
    UNDEFINED_LENGTH,
    VRS_WITH_LONG_LENGTH,
    VRS_WITH_SHORT_LENGTH,
)  # fmt: skip
from imaging.wire.fast_values import NotPlain, plain_texts
from imaging.wire.part10 import data_set_offset
from imaging.wire.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN

NOT_PLAIN_ERRORS = (NotPlain, struct.error, IndexError)
CHARACTER_SETS = frozenset({(), ("ISO_IR 100",), ("ISO_IR 192",)})  # values are ASCII here, which each of these holds
IMPLICIT = IMPLICIT_VR_LITTLE_ENDIAN.encode()
_TRANSFER_SYNTAXES = re.compile(rb"1\.2\.840\.10008\.1\.2(\.1|\.5|\.4\.[1-9][0-9]*)?")  # neither big endian nor deflated
_MAX_VALUE_BYTES = 1024  # of a value that is read: values are cached
_MAX_DEPTH = 8
_META = {0x00020003: b"UI", 0x00020010: b"UI"}  # Media Storage SOP Instance UID, Transfer Syntax UID
_META_OFFSET = 144  # behind the group length, which comes first
# The tolerant reader looks into these: Contributing Equipment, Coding Scheme Identification, and functional groups.
_READ_TOLERANTLY = frozenset({0x0018A001, 0x00080110, 0x52009229, 0x52009230})

_LONG = frozenset(vr.encode() for vr in VRS_WITH_LONG_LENGTH)
_SHORT = frozenset(vr.encode() for vr in VRS_WITH_SHORT_LENGTH)
# Bound methods: the loop below runs once for each element of each received instance.
_unpack_explicit, _unpack_implicit, _unpack_length = EXPLICIT_HEADER.unpack_from, IMPLICIT_HEADER.unpack_from, LENGTH.unpack_from


@dataclass(frozen=True, slots=True)
class PlainElements:
    """What a scan has found.

    Attributes
    ----------
    values
        Raw values of elements before the pixel data, by tag.
    syntax, uid
        Transfer syntax UID, and SOP Instance UID of the file meta information.
    pixels
        Where the value of the pixel data begins, and its length, None if that is undefined; None: there are no pixel data, and the file
        ends where its last element ends.
    """

    values: dict[int, bytes]
    syntax: bytes
    uid: bytes
    pixels: tuple[int, int | None] | None


def locate_data_set(content: bytes) -> tuple[int, bytes, bytes]:
    """Where the data set of a Part 10 file begins, its transfer syntax UID, and the SOP Instance UID of the file meta information.

    Raises
    ------
    NotPlain, struct.error, IndexError
        The file meta information is not plain, or the transfer syntax is none of those read here.
    """
    if content[128:132] != b"DICM" or content[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        raise NotPlain
    start = data_set_offset(content)
    meta: dict[int, bytes] = {}
    if scan_elements(content, _META_OFFSET, start, explicit=True, keep=_META, found=meta) != start or len(meta) != len(_META):
        raise NotPlain
    syntax = meta[0x00020010].rstrip(b"\0")
    if not _TRANSFER_SYNTAXES.fullmatch(syntax):
        raise NotPlain
    return start, syntax, meta[0x00020003].rstrip(b"\0")


def read_raw_values(content: bytes, size_bytes: int, wanted: Mapping[int, bytes]) -> PlainElements:
    """Raw values of elements before the pixel data, and where these are.

    Parameters
    ----------
    content, size_bytes
        The file, or its beginning where ``size_bytes`` says that the file is longer.
    wanted
        VR by tag.

    Raises
    ------
    NotPlain, struct.error, IndexError
        The tolerant reader has to read the file.
    """
    start, syntax, uid = locate_data_set(content)
    if syntax == IMPLICIT and content[start + 4 : start + 6].isupper():
        raise NotPlain  # the length looks like a VR, and the tolerant reader may take it for one
    raw: dict[int, bytes] = {}
    keep = {SPECIFIC_CHARACTER_SET: b"CS", **wanted}
    end = scan_elements(content, start, len(content), explicit=syntax != IMPLICIT, keep=keep, found=raw, size_bytes=size_bytes)
    if end == len(content) < size_bytes:
        raise NotPlain  # the beginning ends before the pixel data, so elements are missing
    if any(len(value) > _MAX_VALUE_BYTES for value in raw.values()):
        raise NotPlain
    if plain_texts(b"CS", raw.get(SPECIFIC_CHARACTER_SET, b"")) not in CHARACTER_SETS:
        raise NotPlain
    return PlainElements(raw, syntax, uid, _pixels(raw, end))


def _pixels(found: Mapping[int, bytes], at: int) -> tuple[int, int | None] | None:
    for tag in PIXEL_DATA_TAGS:
        if tag in found:
            (length,) = _unpack_length(found[tag])
            return at, None if length == UNDEFINED_LENGTH else length
    return None


def scan_elements(
    content: bytes,
    at: int,
    end: int,
    *,
    explicit: bool,
    keep: Mapping[int, bytes],
    found: dict[int, bytes] | None,
    depth: int = 0,
    size_bytes: int = 0,
) -> int:
    """Go through the elements from ``at`` and return where they end: at the pixel data's value, at an item's delimiter, or at ``end``.

    Parameters
    ----------
    keep, found
        VR by tag of the elements whose values are put into ``found``; ``found`` None: the elements of an item, whose values are skipped.
        For the pixel data the field of their length is put there.
    size_bytes
        The length of the file where ``content`` is its beginning: pixel data may reach that far.

    Raises
    ------
    NotPlain, struct.error, IndexError
        An element is not as PS3.5 says, or is one that the tolerant reader treats in a way of its own.
    """
    previous_tag = 0
    while at < end:
        if explicit:
            group, element, vr, length = _unpack_explicit(content, at)
            tag = group << 16 | element
            at += 8
            if vr not in _SHORT and tag != ITEM_END:
                if vr not in _LONG:
                    raise NotPlain
                (length,) = _unpack_length(content, at)
                at += 4
        else:
            group, element, length = _unpack_implicit(content, at)
            vr, tag, at = b"", group << 16 | element, at + 8
        if tag == ITEM_END and found is None:
            return at - 8
        if tag <= previous_tag or group == 0xFFFE or (group != 2 if keep is _META else group < 8):
            raise NotPlain
        previous_tag = tag
        if tag in PIXEL_DATA_TAGS and found is not None:
            if length != UNDEFINED_LENGTH and at + length > max(size_bytes, len(content)):
                raise NotPlain
            if vr in _SHORT:
                raise NotPlain
            found[tag] = content[at - LENGTH.size : at]
            return at
        if tag in _READ_TOLERANTLY and found is not None:
            raise NotPlain
        if length == UNDEFINED_LENGTH:
            if explicit and vr != b"SQ":
                raise NotPlain
            at = _skip_items(content, at, end, explicit, depth + 1)
            continue
        if found is not None and tag in keep:
            if explicit and vr != keep[tag]:
                raise NotPlain
            found[tag] = content[at : at + length]
        at += length
    if at != end:
        raise NotPlain
    return at


def _skip_items(content: bytes, at: int, end: int, explicit: bool, depth: int) -> int:
    """Skip the items of a sequence of undefined length and return where it ends (PS3.5 7.5)."""
    if depth > _MAX_DEPTH:
        raise NotPlain
    while True:
        group, element, length = _unpack_implicit(content, at)
        tag, at = group << 16 | element, at + 8
        if at > end:
            raise NotPlain
        if tag == SEQUENCE_END and length == 0:
            return at
        if tag != ITEM:
            raise NotPlain
        item_end = end if length == UNDEFINED_LENGTH else at + length
        if item_end > end:
            raise NotPlain
        at = scan_elements(content, at, item_end, explicit=explicit, keep={}, found=None, depth=depth)
        if length == UNDEFINED_LENGTH:
            if content[at : at + 8] != b"\xfe\xff\x0d\xe0\0\0\0\0":
                raise NotPlain
            at += 8
