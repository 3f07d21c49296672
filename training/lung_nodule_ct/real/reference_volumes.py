"""Reads the real chest CT volumes of the data folder (``ct-volumes``) and the nodules that readers marked in them."""

import csv
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from models.ct.isotropic_grid import Index, Spacing

FOLDER = "ct-volumes"
HU_OFFSET = 1024
FULLY_READ = "LIDC-IDRI"  # four readers marked every nodule of 3 mm or more; elsewhere one tumour is marked and others may be there


@dataclass(frozen=True, slots=True)
class MarkedNodule:
    """A nodule that readers marked: native (z, y, x) of its centre, and the diameter in mm."""

    centre: Index
    diameter_mm: float


@dataclass(frozen=True, slots=True)
class ReferenceVolume:
    """``name`` of the patient, ``hu`` int16 (Z, Y, X), ``spacing_mm`` (z, y, x), the ``nodules``, and whether all were marked."""

    name: str
    hu: npt.NDArray[np.int16]
    spacing_mm: Spacing
    nodules: tuple[MarkedNodule, ...]
    fully_read: bool


def read_volumes(data: Path, names: tuple[str, ...] = ()) -> list[ReferenceVolume]:
    """The volumes of ``data/ct-volumes``, by name; ``names``: those whose name starts with one of them.

    Raises NotAnalysable where none is there.
    """
    folder = data / FOLDER
    found = [path for path in sorted(folder.glob("*.npz")) if not names or path.stem.startswith(names)]
    if not found:
        raise NotAnalysable("no real CT volume was found", hint=f"the data folder must hold {FOLDER}/*.npz and annotations.csv")
    marks = _read_marks(folder / "annotations.csv")
    return [_read_volume(path, marks) for path in found]


def _read_volume(path: Path, marks: dict[str, list[MarkedNodule]]) -> ReferenceVolume:
    with np.load(path, allow_pickle=False) as archive:
        offsets, stream = archive["offsets"], archive["codestream"].tobytes()
        spacing = json.loads(str(archive["meta"]))["spacing_zyx"]
    slices = [imagecodecs.jpegls_decode(stream[a:b]).astype(np.int16) for a, b in pairwise(offsets)]
    spacing_mm = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    nodules = tuple(marks.get(path.stem, ()))
    return ReferenceVolume(path.stem, np.stack(slices) - np.int16(HU_OFFSET), spacing_mm, nodules, path.stem.startswith(FULLY_READ))


def _read_marks(path: Path) -> dict[str, list[MarkedNodule]]:
    found: dict[str, list[MarkedNodule]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            centre = (float(row["crop_k"]), float(row["crop_j"]), float(row["crop_i"]))
            found.setdefault(row["patient"], []).append(MarkedNodule(centre, float(row["diameter_mm"])))
    return found
