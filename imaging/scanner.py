"""Which kind of device made an image: for statistics, not for identity. No serial number, no station name."""

from pathlib import Path

from core.errors import CannotUnderstand
from imaging.parsing import read_dataset
from imaging.values import Reader, tolerating


def scanner_of(path: Path) -> str:
    """ "Manufacturer ManufacturerModelName" (PS3.3 C.7.5.1); "" where the header says neither, or cannot be read."""
    notes: list[str] = []
    try:
        with tolerating(notes):
            read = Reader(read_dataset(path), notes)
            return " ".join(" ".join((read.text("Manufacturer"), read.text("ManufacturerModelName"))).split())
    except CannotUnderstand:
        return ""
