"""Which images are learned, held out, or external: HAM10000 (two archives) and ISIC 2017 (one).

ISIC 2017 (Codella et al. 2018, arXiv 1710.05006, CC0) has three of the seven classes. Its challenge's test part is the external test:
no image of it is ever learned, whatever the fold.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.errors import ModelError
from models.dermoscopy.data import COARSE_ARCHIVE, FINE_ARCHIVE, Row, first_of_each, read_index
from models.dermoscopy.split import held_out

ISIC_ARCHIVE = "isic2017-224.tar"
ISIC_INDEX = "isic2017-index.csv"
ISIC_TEST = "Test_v2"
ARCHIVES = (FINE_ARCHIVE, COARSE_ARCHIVE, ISIC_ARCHIVE)


class Part(StrEnum):
    """What an image is used for."""

    LEARNED = "learned"
    HELD_OUT = "held out"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image: its line of the index and what it is used for."""

    row: Row
    part: Part


def read_entries(data: Path, fold: int, *, limit_per_class: int | None = None) -> tuple[Entry, ...]:
    """All images of both collections. ``fold`` (0..4) of HAM10000's lesions is held out; the split is by lesion.

    ``limit_per_class``: only the first images of every class and collection (tests). Without ISIC 2017 in ``data`` HAM10000 alone.
    """
    ham = read_index(data)
    ham = ham if limit_per_class is None else first_of_each(ham, limit_per_class)
    held = held_out(ham, fold)
    found = [Entry(row, Part.HELD_OUT if row.lesion_id in held else Part.LEARNED) for row in ham]
    isic = read_isic(data)
    if limit_per_class is not None:
        learned = first_of_each([entry.row for entry in isic if entry.part is Part.LEARNED], limit_per_class)
        external = first_of_each([entry.row for entry in isic if entry.part is Part.EXTERNAL], limit_per_class)
        kept = {row.image_id for row in (*learned, *external)}
        isic = tuple(entry for entry in isic if entry.row.image_id in kept)
    check_disjoint([*found, *isic])
    return (*found, *isic)


def read_isic(data: Path) -> tuple[Entry, ...]:
    """ISIC 2017's images; every image counts as a lesion of its own, because the challenge names no lesions."""
    path = data / "dermoscopy" / ISIC_INDEX
    if not path.is_file():
        return ()
    with path.open(newline="") as lines:
        return tuple(
            Entry(
                Row(Path(line["file"]).stem, ISIC_ARCHIVE, line["isic_id"], line["label_ham7"]),
                Part.EXTERNAL if line["split_2017"] == ISIC_TEST else Part.LEARNED,
            )
            for line in csv.DictReader(lines)
        )


def check_disjoint(entries: Sequence[Entry]) -> None:
    """Raises ModelError where an image or a lesion is in more than one part."""
    parts: dict[str, Part] = {}
    for entry in entries:
        for name in (f"image {entry.row.image_id}", f"lesion {entry.row.lesion_id}"):
            if parts.setdefault(name, entry.part) is not entry.part:
                raise ModelError(f"{name} is both {parts[name]} and {entry.part}", hint="the collections must be disjoint")
