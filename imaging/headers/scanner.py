"""Which kind of device made an image: for statistics, not for identity. No serial number, no station name."""

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from core.errors import CannotUnderstand
from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.wire.fast_header import Odd, text, values_of
from imaging.wire.tolerant_parser import read_dataset
from imaging.wire.tolerant_values import Reader, tolerating

_WANTED = {0x00080070: b"LO", 0x00081090: b"LO"}  # Manufacturer, ManufacturerModelName


def scanner_of(path: Path) -> str:
    """ "Manufacturer ManufacturerModelName" (PS3.3 C.7.5.1); "" where the header says neither, or cannot be read."""
    with open(path, "rb", buffering=0) as file:
        quick = quick_scanner(file.read(BEGINNING_BYTES), os.fstat(file.fileno()).st_size)
    return tolerant_scanner(path) if quick is None else quick


def quick_scanner(content: bytes, size_bytes: int = 0) -> str | None:
    """The same of a plain, well-formed file, or of its beginning (`quick.quick_header`); None where the tolerant one is to be asked."""
    try:
        raw, _, _ = values_of(content, max(size_bytes, len(content)), _WANTED)
        return _joined(text(vr, raw.get(tag, b"")) for tag, vr in _WANTED.items())
    except (Odd, struct.error, IndexError):
        return None


def tolerant_scanner(source: Path | BinaryIO) -> str:
    """The same of whatever can be parsed at all."""
    notes: list[str] = []
    try:
        with tolerating(notes):
            read = Reader(read_dataset(source), notes)
            return _joined((read.text("Manufacturer"), read.text("ManufacturerModelName")))
    except CannotUnderstand:
        return ""


def _joined(parts: Iterable[str]) -> str:
    return " ".join(" ".join(parts).split())
