"""The kind of device that made an image, for statistics. Serial number and station name are left out: they identify a device."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from core.errors import CannotUnderstand
from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.wire.fast_scan import NOT_PLAIN_ERRORS, read_raw_values
from imaging.wire.fast_values import plain_text
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_dataset
from imaging.wire.tolerant_values import TolerantReader

_VRS = {0x00080070: b"LO", 0x00081090: b"LO"}  # Manufacturer, Manufacturer's Model Name


def read_scanner(path: Path) -> str:
    """Manufacturer and model name (PS3.3 C.7.5.1) with a space between them; "" if the header has neither or cannot be read."""
    with open(path, "rb", buffering=0) as file:
        plain = read_plain_scanner(file.read(BEGINNING_BYTES), os.fstat(file.fileno()).st_size)
    return read_scanner_tolerantly(path) if plain is None else plain


def read_plain_scanner(content: bytes, size_bytes: int = 0) -> str | None:
    """As `read_scanner`, of a plain, well-formed file or its beginning; None for a file that the tolerant reader has to read."""
    try:
        raw = read_raw_values(content, max(size_bytes, len(content)), _VRS).values
        return _join(plain_text(vr, raw.get(tag, b"")) for tag, vr in _VRS.items())
    except NOT_PLAIN_ERRORS:
        return None


def read_scanner_tolerantly(source: Path | BinaryIO) -> str:
    """As `read_scanner`, of any file that can be parsed."""
    notes: list[str] = []
    try:
        with warnings_as_notes(notes):
            read = TolerantReader(read_dataset(source), notes)
            return _join((read.text("Manufacturer"), read.text("ManufacturerModelName")))
    except CannotUnderstand:
        return ""


def _join(parts: Iterable[str]) -> str:
    return " ".join(" ".join(parts).split())
