"""A cached bank of training patches: (N, 64, 64, 64) at 1 mm, HU as int16 and labels as uint8, in plain .npy files."""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.lung_nodule_ct.patches.draw_patch import EDGE, NODULE, draw_patch
from training.lung_nodule_ct.series.training_series import TrainingSeries

POSITIVE_SHARE = 0.6
BANK_VERSION = 3


@dataclass(frozen=True, slots=True)
class PatchBank:
    """``hu`` int16 and ``label`` uint8: for each series a memory map (size, 64, 64, 64); ``positive`` (series * size,) bool.

    ``usable`` (series * size,) bool: the patches that a training may see; None: all.
    """

    hu: tuple[npt.NDArray[np.int16], ...]
    label: tuple[npt.NDArray[np.uint8], ...]
    positive: npt.NDArray[np.bool_]
    size: int
    usable: npt.NDArray[np.bool_] | None = None

    def indices(self, *, positive: bool) -> npt.NDArray[np.intp]:
        """The usable patches with a nodule, or those without."""
        chosen = self.positive if positive else ~self.positive
        return np.flatnonzero(chosen if self.usable is None else chosen & self.usable)

    def patch(self, index: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """HU and labels (64, 64, 64) of one patch."""
        part, at = divmod(index, self.size)
        return self.hu[part][at], self.label[part][at]


def build_bank(
    series: Sequence[TrainingSeries], folder: Path, *, seed: int, size: int, progress: Callable[[str], None] = print
) -> PatchBank:
    """Draw ``size`` patches of each series into a folder of its own, or open those that are there already.

    The patches of a series do not depend on the other series, so that trainings which leave a series out share the banks.
    """
    parts = [_series_patches(one, folder / one.name, seed, size, progress) for one in series]
    positive = np.array([bool((label[i] == NODULE).any()) for _, label in parts for i in range(size)])
    return PatchBank(tuple(hu for hu, _ in parts), tuple(label for _, label in parts), positive, size)


def _series_patches(
    series: TrainingSeries, folder: Path, seed: int, size: int, progress: Callable[[str], None]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"version": BANK_VERSION, "seed": seed, "size": size, "series": series.name}
    note = folder / "bank.json"
    if not note.exists() or json.loads(note.read_text()) != wanted:
        note.unlink(missing_ok=True)
        shape = (size, EDGE, EDGE, EDGE)
        hu = np.lib.format.open_memmap(folder / "hu.npy", mode="w+", dtype=np.int16, shape=shape)
        label = np.lib.format.open_memmap(folder / "label.npy", mode="w+", dtype=np.uint8, shape=shape)
        for i in range(size):
            rng = np.random.default_rng([seed, 11, zlib.crc32(series.name.encode()), i])
            hu[i], label[i] = draw_patch(series, rng, i % 10 < POSITIVE_SHARE * 10)
            if (i + 1) % 100 == 0:
                progress(f"patches of {series.name}: {i + 1} of {size}")
        hu.flush()
        label.flush()
        note.write_text(json.dumps(wanted))
    return (
        np.load(folder / "hu.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "label.npy", mmap_mode="r", allow_pickle=False),
    )
