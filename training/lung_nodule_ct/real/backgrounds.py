"""The series that real nodules are pasted into: the marked volumes and the older series, each prepared only when it is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.ct.isotropic_grid import Index
from training.lung_nodule_ct.real.nodule_crops import FOLDS, RealNodule, read_nodules
from training.lung_nodule_ct.real.prepared_volumes import prepare_volume
from training.lung_nodule_ct.real.reference_volumes import MarkedNodule, read_volumes
from training.lung_nodule_ct.series.series_files import read_hu, series_folders
from training.lung_nodule_ct.series.training_series import TrainingSeries, prepare_series

EVERY_FOLD = -1
WITHOUT_NODULES = "_neg"  # after the patient, in the name of a volume without marked nodules


@dataclass(frozen=True, slots=True)
class Background:
    """A series by ``name``: ``fold`` in which it is held out (-1: never), what readers marked, and ``prepare``, which takes half a minute.

    ``hard``: native places that the initial detector takes for nodules and that no reader marked.
    """

    name: str
    fold: int
    marks: tuple[MarkedNodule, ...]
    prepare: Callable[[], TrainingSeries]
    hard: tuple[Index, ...] = ()


def read_backgrounds(data: Path, seed: int) -> list[Background]:
    """The volumes of ``data/ct-volumes``, their folds in turn by name, and the series of ``data/ct``."""
    found = [
        Background(volume.name, number % FOLDS, volume.nodules, partial(prepare_volume, volume, seed))
        for number, volume in enumerate(read_volumes(data))
    ]
    return found + [Background(one.name, EVERY_FOLD, (), partial(_prepare_folder, one, seed)) for one in series_folders(data)]


def read_other_nodules(data: Path, backgrounds: list[Background]) -> list[RealNodule]:
    """The nodules to paste: those of patients without a volume of their own, so that no patient is on both sides of a fold."""
    own = {background.name.removesuffix(WITHOUT_NODULES) for background in backgrounds}
    return [nodule for nodule in read_nodules(data) if nodule.patient not in own]


def _prepare_folder(folder: Path, seed: int) -> TrainingSeries:
    return prepare_series(folder.name, *read_hu(folder), seed)
