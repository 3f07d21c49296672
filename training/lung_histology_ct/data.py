"""Reads the screenshots of ``ct-slices-4class`` and prepares them, each with its cluster of like chests and its fold."""

import csv
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.errors import ModelError
from models.lung_histology_ct.preprocess import prepare_slice
from training.lung_histology_ct.clusters import assign_folds, chest_similarity, cluster_chests

CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma", "normal")
NORMAL = CLASSES.index("normal")
FOLDER, INDEX, ARCHIVE = "ct-slices-4class", "index.csv", "slices-256.tar"
FOLDS = 5
MISSING_DATA = "give the data folder with --data or DICOM_NODE_DATA"


@dataclass(frozen=True, slots=True)
class Screenshot:
    """One line of index.csv that is not an exact copy of another."""

    file: str
    label: str


@dataclass(frozen=True, slots=True)
class SliceImages:
    """The N slices that can be analysed, in the order of the index.

    ``planes`` (N, 2, 96, 128) uint8; ``labels`` (N,) index into CLASSES; ``clusters`` (N,) number of the cluster of like chests;
    ``folds`` (N,) fold of the cluster; ``grey`` the pictures as they came. ``refused``: (screenshot, reason) of the others.
    """

    rows: tuple[Screenshot, ...]
    planes: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    grey: tuple[npt.NDArray[np.uint8], ...]
    refused: tuple[tuple[Screenshot, str], ...]


def read_index(data: Path) -> tuple[Screenshot, ...]:
    """Lines of the index without exact copies. Raises ModelError where the file is absent."""
    path = data / FOLDER / INDEX
    if not path.is_file():
        raise ModelError(f"no {path}", hint=MISSING_DATA)
    with path.open(newline="") as lines:
        return tuple(Screenshot(line["file"], line["label"]) for line in csv.DictReader(lines) if not line["exact_duplicate_of"])


def read_pictures(data: Path, rows: Sequence[Screenshot]) -> list[npt.NDArray[np.uint8]]:
    """(Y, X) uint8 of every screenshot. Raises ModelError where one is missing."""
    path = data / FOLDER / ARCHIVE
    if not path.is_file():
        raise ModelError(f"no {path}", hint=MISSING_DATA)
    wanted, found = {row.file for row in rows}, {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            stream = archive.extractfile(member) if name in wanted else None
            if stream is not None:
                found[name] = np.asarray(Image.open(io.BytesIO(stream.read())).convert("L"))
    missing = wanted - found.keys()
    if missing:
        raise ModelError(f"{len(missing)} of {len(wanted)} images of {INDEX} are not in {ARCHIVE}")
    return [found[row.file] for row in rows]


def load_slices(
    data: Path, limits: Mapping[str, float], *, report: Callable[[str], None], limit_per_class: int | None = None
) -> SliceImages:
    """Every slice prepared, clustered and with its fold; ``limit_per_class`` keeps that many of every class (tests)."""
    rows = read_index(data) if limit_per_class is None else spread_over_index(read_index(data), limit_per_class)
    report(f"preparing {len(rows)} slices (exact copies are left out)")
    kept, planes, grey, refused = [], [], [], []
    for row, picture in zip(rows, read_pictures(data, rows), strict=True):
        prepared = prepare_slice(picture, limits)
        if isinstance(prepared, str):
            refused.append((row, prepared))
        else:
            kept.append(row)
            planes.append(prepared.planes)
            grey.append(picture)
    labels = np.array([CLASSES.index(row.label) for row in kept])
    clusters = cluster_chests(chest_similarity(grey), labels)
    folds = assign_folds(clusters, labels, classes=len(CLASSES), folds=FOLDS)
    return SliceImages(tuple(kept), np.stack(planes), labels, clusters, folds, tuple(grey), tuple(refused))


def spread_over_index(rows: Sequence[Screenshot], count: int) -> tuple[Screenshot, ...]:
    """``count`` screenshots of every class, evenly spaced over the index, where neighbours are often of one patient."""
    chosen: list[Screenshot] = []
    for label in CLASSES:
        of_class = [row for row in rows if row.label == label]
        chosen += [of_class[i * len(of_class) // count] for i in range(count)]
    return tuple(chosen)
