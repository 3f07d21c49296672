"""Finds and reads the CT series of a data folder."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from imaging.volume.volume import Volume, read_volume
from models.ct.isotropic_grid import Spacing

LEAST_FILES = 16


def series_folders(data: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """Folders of CT series: ``data/ct`` (or ``data``) and the folders right in it, with at least 16 .dcm files.

    ``names`` keeps only folders whose name starts with one of them. Raises NotAnalysable where none is left.
    """
    root = data / "ct" if (data / "ct").is_dir() else data
    places = [root, *sorted(f for f in root.iterdir() if f.is_dir())] if root.is_dir() else []
    found = [f for f in places if len(list(f.glob("*.dcm"))) >= LEAST_FILES]
    chosen = [f for f in found if not names or f.name.startswith(names)]
    if not chosen:
        raise NotAnalysable("no CT series was found in the data folder", hint="the folder must hold ct/<series>/*.dcm")
    return chosen


def read_series(folder: Path) -> Volume:
    """The volume of one folder."""
    return read_volume(sorted(folder.glob("*.dcm")))


def read_hu(folder: Path) -> tuple[npt.NDArray[np.int16], Spacing]:
    """HU (Z, Y, X) and spacing (z, y, x) in mm of one folder."""
    volume = read_series(folder)
    return volume.hu, volume.spacing_mm
