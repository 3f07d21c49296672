"""The labelled photographs of one site: a folder that `dicom-node train federated export` writes from the node's verdicts.

``index.csv`` has the columns ``file`` and ``label``; the files beside it are DICOM, JPEG, PNG or TIFF. References (labels from pathology,
for example) are given in the same form. Age, sex and site of the patient are not used.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.errors import ModelError, NodeError
from imaging.photograph.read import Photograph, read_photograph
from models.dermoscopy.patient import FACTS
from models.dermoscopy.preprocess import COMMON_PX, common_square
from training.dermoscopy.ham10000.data import CLASSES, LesionImages, with_recompressed_copy

INDEX = "index.csv"
LEAST_IMAGES, MOST_IMAGES = 8, 20_000  # 135 kB of memory each
ARRAYS = ("pixels", "masks", "patients", "labels", "coarse", "validation", "aside")


def read_site_images(folder: Path) -> LesionImages:
    """All images of a site, in the order of the index; none is held out.

    Raises
    ------
    ModelError
        There is no index, it lists fewer than 8 or more than 20,000 images or one of them twice, a label is none of the model's classes, or
        a file cannot be read.
    """
    rows = _read_index(folder / INDEX)
    pixels = np.empty((len(rows), 2, COMMON_PX, COMMON_PX, 3), np.uint8)
    for number, (file, _) in enumerate(rows):
        pixels[number] = with_recompressed_copy(common_square(_read(folder / file).rgb), file)
    nothing = np.zeros(len(rows), bool)
    return LesionImages(
        rows=(),
        pixels=pixels,
        masks=np.zeros((len(rows), COMMON_PX, COMMON_PX), bool),
        patients=np.zeros((len(rows), FACTS), np.float32),
        labels=np.array([CLASSES.index(label) for _, label in rows]),
        coarse=nothing,
        validation=nothing,
        aside=nothing,
    )


def join_images(parts: Sequence[LesionImages]) -> LesionImages:
    """The images of several sites as those of one."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return LesionImages(rows=(), **arrays)


def _read_index(path: Path) -> list[tuple[str, str]]:
    """File and label of every image."""
    hint = "`dicom-node train federated export` writes such a folder; docs/federated.md describes it"
    if not path.is_file():
        raise ModelError(f"no {path}", hint=hint)
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:  # spreadsheets put a byte order mark before the first column
            rows = [(row["file"], row["label"]) for row in csv.DictReader(lines)]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path} is no table with the columns file and label: {error}", hint=hint) from error
    if not LEAST_IMAGES <= len(rows) <= MOST_IMAGES:
        raise ModelError(f"{path} lists {len(rows)} images, {LEAST_IMAGES} to {MOST_IMAGES} are needed", hint="add or leave out images")
    for line, (file, label) in enumerate(rows, 2):
        if not file or Path(file).name != file:
            raise ModelError(f"{path}, line {line}: {file!r} is no name of a file beside the index", hint="put the images into its folder")
        if label not in CLASSES:
            raise ModelError(f"{path}, line {line}: label {label!r} is none of {', '.join(CLASSES)}", hint="correct or delete the line")
    twice = [file for file, count in Counter(file for file, _ in rows).items() if count > 1]
    if twice:
        labels = ", ".join(label for file, label in rows if file == twice[0])
        raise ModelError(f"{path} lists {twice[0]} more than once, with the labels {labels}", hint="leave one line for each image")
    return rows


def _read(path: Path) -> Photograph:
    try:
        return read_photograph(path)
    except (NodeError, OSError) as error:
        raise ModelError(f"{path.name} cannot be read: {error}") from error
