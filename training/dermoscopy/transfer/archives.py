"""The images of the training and their parts: HAM10000 (two archives) and ISIC 2017 (one).

ISIC 2017 (Codella et al. 2018, arXiv 1710.05006, CC0) has three of the seven classes. Its challenge's test part is the external test: no
image of it is ever trained on.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from core.errors import ModelError
from training.dermoscopy.ham10000.data import COARSE_ARCHIVE, FINE_ARCHIVE, HamImage, first_of_each, read_index
from training.dermoscopy.ham10000.split import held_out, set_aside

ISIC_ARCHIVE = "isic2017-224.tar"
ISIC_INDEX = "isic2017-index.csv"
ISIC_TEST = "Test_v2"
ARCHIVES = (FINE_ARCHIVE, COARSE_ARCHIVE, ISIC_ARCHIVE)


class DataPart(StrEnum):
    """What an image is used for."""

    TRAINING = "training"
    HELD_OUT = "held out"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image: its line of the index and what it is used for."""

    row: HamImage
    part: DataPart


def list_images(data: Path, *, leave_out: Sequence[int] = (), limit_per_class: int | None = None) -> tuple[ListedImage, ...]:
    """All images of both collections. The lesions that are set aside from all folds of HAM10000 are held out.

    ``leave_out``: folds of HAM10000 whose lesions are held out as well. Raises ValueError for a number that is no fold.
    ``limit_per_class``: only the first images of every class, part and collection (tests). Without ISIC 2017 in ``data`` HAM10000 alone.
    """
    ham = read_index(data)
    aside = set_aside(ham).union(*(held_out(ham, fold) for fold in leave_out))
    found = tuple(ListedImage(row, DataPart.HELD_OUT if row.lesion_id in aside else DataPart.TRAINING) for row in ham)
    isic = read_isic(data)
    check_disjoint([*found, *isic])
    if limit_per_class is None:
        return (*found, *isic)
    parts = [[image.row for image in images if image.part is part] for images in (found, isic) for part in DataPart]
    kept = {row.image_id for rows in parts for row in first_of_each(rows, limit_per_class)}
    return tuple(image for image in (*found, *isic) if image.row.image_id in kept)


def read_isic(data: Path) -> tuple[ListedImage, ...]:
    """ISIC 2017's images; every image counts as a lesion of its own, because the challenge names no lesions."""
    path = data / "dermoscopy" / ISIC_INDEX
    if not path.is_file():
        return ()
    with path.open(newline="") as lines:
        return tuple(
            ListedImage(
                HamImage(Path(line["file"]).stem, ISIC_ARCHIVE, line["isic_id"], line["label_ham7"]),
                DataPart.EXTERNAL if line["split_2017"] == ISIC_TEST else DataPart.TRAINING,
            )
            for line in csv.DictReader(lines)
        )


def check_disjoint(images: Sequence[ListedImage]) -> None:
    """Raise ModelError where an image or a lesion is in more than one part."""
    parts: dict[str, DataPart] = {}
    for image in images:
        for name in (f"image {image.row.image_id}", f"lesion {image.row.lesion_id}"):
            if parts.setdefault(name, image.part) is not image.part:
                raise ModelError(f"{name} is both {parts[name]} and {image.part}", hint="the collections must be disjoint")
