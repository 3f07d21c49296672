"""The labelled photographs of one site: a folder that `dicom-node train federated export` writes from the node's verdicts.

``index.csv`` has the columns ``file`` and ``label``; the files beside it are DICOM, JPEG, PNG or TIFF. References (labels from pathology,
for example) are given in the same form. Age, sex and site of the patient are not used.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.errors import ModelError, NodeError
from imaging.photograph.read import Photograph, read_photograph
from models.dermoscopy.patient import FACTS
from models.dermoscopy.preprocess import COMMON_PX, common_square
from training.dermoscopy.ham10000.data import CLASSES, LesionImages, with_recompressed_copy

INDEX = "index.csv"
LEAST_IMAGES = 8
ARRAYS = ("pixels", "masks", "patients", "labels", "coarse", "validation", "aside")


def read_site_images(folder: Path) -> LesionImages:
    """All images of a site, in the order of the index; none is held out.

    Raises
    ------
    ModelError
        There is no index, a label is none of the model's classes, a file cannot be read, or there are fewer than 8 images.
    """
    path = folder / INDEX
    if not path.is_file():
        raise ModelError(f"no {path}", hint="`dicom-node train federated export` writes such a folder; docs/federated.md describes it")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if len(rows) < LEAST_IMAGES:
        raise ModelError(f"{path} lists {len(rows)} images, at least {LEAST_IMAGES} are needed")
    unknown = sorted({str(row.get("label")) for row in rows} - set(CLASSES))
    if unknown:
        raise ModelError(f"{path}: label {unknown[0]!r} is none of {', '.join(CLASSES)}")
    pixels = np.empty((len(rows), 2, COMMON_PX, COMMON_PX, 3), np.uint8)
    for number, row in enumerate(rows):
        pixels[number] = with_recompressed_copy(common_square(_read(folder / Path(row["file"]).name).rgb), row["file"])
    nothing = np.zeros(len(rows), bool)
    return LesionImages(
        rows=(),
        pixels=pixels,
        masks=np.zeros((len(rows), COMMON_PX, COMMON_PX), bool),
        patients=np.zeros((len(rows), FACTS), np.float32),
        labels=np.array([CLASSES.index(row["label"]) for row in rows]),
        coarse=nothing,
        validation=nothing,
        aside=nothing,
    )


def join_images(parts: Sequence[LesionImages]) -> LesionImages:
    """The images of several sites as those of one."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return LesionImages(rows=(), **arrays)


def _read(path: Path) -> Photograph:
    try:
        return read_photograph(path)
    except (NodeError, OSError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}") from error
