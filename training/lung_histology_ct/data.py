"""The screenshots: what is a copy of what, what shows the same patient, and which fold it belongs to."""

import csv
import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from core.errors import ModelError
from models.lung_histology_ct.lung_field_2d import find_lungs, nd
from models.lung_histology_ct.preprocess import prepare, resized, scale_of, working

CLASSES = ("adenocarcinoma", "large_cell_carcinoma", "squamous_cell_carcinoma", "normal")
FOLDER, INDEX, ARCHIVE = "ct-slices-4class", "index.csv", "slices-256.tar"
FOLDS = 5
ALIKE = 0.88  # correlation of two chests from which they count as one patient; the closest pair of different classes has 0.893
CHEST_SHAPE = (48, 64)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of index.csv that is no exact copy of another."""

    file: str
    label: str


@dataclass(frozen=True, slots=True)
class Slices:
    """The slices that can be judged, in the order of the index.

    ``planes`` (N, 2, 96, 128) uint8; ``labels`` (N,) index into CLASSES; ``clusters`` (N,) number of the cluster of like chests;
    ``folds`` (N,) fold of every cluster; ``grey`` the pictures as they came. ``refused``: (row, why) of the others.
    """

    rows: tuple[Row, ...]
    planes: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    clusters: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    grey: tuple[npt.NDArray[np.uint8], ...]
    refused: tuple[tuple[Row, str], ...]


def read_index(data: Path) -> tuple[Row, ...]:
    """Rows of the index without exact copies. Raises ModelError where the file is absent."""
    path = data / FOLDER / INDEX
    if not path.is_file():
        raise ModelError(f"no {path}", hint="name the data folder with --data or DICOM_NODE_DATA")
    with path.open(newline="") as lines:
        return tuple(Row(line["file"], line["label"]) for line in csv.DictReader(lines) if not line["exact_duplicate_of"])


def read_pictures(data: Path, rows: Sequence[Row]) -> list[npt.NDArray[np.uint8]]:
    """(Y, X) uint8 of every row. Raises ModelError where one is missing."""
    path = data / FOLDER / ARCHIVE
    if not path.is_file():
        raise ModelError(f"no {path}", hint="name the data folder with --data or DICOM_NODE_DATA")
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


def load(data: Path, limits: Mapping[str, float], *, report: Callable[[str], None], limit_per_class: int | None = None) -> Slices:
    """Every slice prepared, clustered and given a fold; ``limit_per_class`` takes so many of every class, evenly spaced (tests)."""
    rows = read_index(data) if limit_per_class is None else some_of_each(read_index(data), limit_per_class)
    report(f"preparing {len(rows)} slices (exact copies are left out)")
    kept, planes, grey, refused = [], [], [], []
    for row, picture in zip(rows, read_pictures(data, rows), strict=True):
        prepared = prepare(picture, limits)
        if isinstance(prepared, str):
            refused.append((row, prepared))
        else:
            kept.append(row)
            planes.append(prepared.planes)
            grey.append(picture)
    labels = np.array([CLASSES.index(row.label) for row in kept])
    clusters = clusters_of(alike(grey), labels)
    return Slices(tuple(kept), np.stack(planes), labels, clusters, folds_of(clusters, labels), tuple(grey), tuple(refused))


def some_of_each(rows: Sequence[Row], count: int) -> tuple[Row, ...]:
    """``count`` rows of every class, evenly spaced over the index, where neighbours are often of one patient."""
    chosen: list[Row] = []
    for label in CLASSES:
        mine = [row for row in rows if row.label == label]
        chosen += [mine[i * len(mine) // count] for i in range(count)]
    return tuple(chosen)


def alike(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """(N, N) correlation of chests, the best over mirror images; window and crop do not count.

    Each is the box around the lungs, on the scale of lung and tissue, at 48 x 64 pixels: shape of the chest, heart, bones and lungs.
    """
    chests = []
    for picture in pictures:
        small = working(picture)
        lungs = find_lungs(small)
        levels = None if lungs is None else scale_of(small, lungs)
        if lungs is None or levels is None or isinstance(levels, str):
            raise ModelError("a slice without lungs cannot be compared")
        scaled = np.clip((small - levels[0]) / max(1.0, levels[1] - levels[0]), 0.0, 1.0)
        rows, columns = np.flatnonzero(lungs.air.any(axis=1)), np.flatnonzero(lungs.air.any(axis=0))
        box = nd.gaussian_filter(scaled, 1.0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        chests.append(resized(box, CHEST_SHAPE))
    whole = np.stack(chests).astype(np.float64)
    found = np.full((len(whole), len(whole)), -1.0)
    for mirrored in (whole, whole[:, :, ::-1], whole[:, ::-1], whole[:, ::-1, ::-1]):
        np.maximum(found, _standard(whole) @ _standard(mirrored).T, out=found)
    return np.asarray(np.maximum(found, found.T))


def _standard(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def clusters_of(similarity: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,) numbers from 0: slices of one class that a chain of pairs above ``ALIKE`` connects are one cluster.

    The bound is a little below what two patients reach, so that it errs towards taking different patients for one.
    """
    from scipy.sparse.csgraph import connected_components

    near = (similarity > ALIKE) & (labels[:, None] == labels[None, :])
    found: npt.NDArray[np.int64] = connected_components(near, directed=False)[1].astype(np.int64)
    return found


def folds_of(clusters: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,) fold: every class's clusters, the largest first, each to the fold that has the fewest images of the class."""
    folds = np.zeros(len(labels), np.int64)
    for c in range(len(CLASSES)):
        filled = np.zeros(FOLDS, np.int64)
        numbers, sizes = np.unique(clusters[labels == c], return_counts=True)
        order = sorted(range(len(numbers)), key=lambda i: (-sizes[i], hashlib.sha256(f"{c}:{i}".encode()).digest()))
        for i in order:
            fold = int(np.argmin(filled))
            folds[clusters == numbers[i]] = fold
            filled[fold] += sizes[i]
    return folds
