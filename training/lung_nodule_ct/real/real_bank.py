"""Training patches with real nodules: pasted ones, the tumours that readers marked, and some synthetic ones; and hard negatives."""

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, Index
from training.lung_nodule_ct.patches import draw_patch
from training.lung_nodule_ct.patches.draw_patch import EDGE, NODULE
from training.lung_nodule_ct.patches.patch_bank import PatchBank
from training.lung_nodule_ct.real.backgrounds import Background
from training.lung_nodule_ct.real.nodule_crops import FOLDS, RealNodule, fold_of
from training.lung_nodule_ct.real.paste import paste_nodule
from training.lung_nodule_ct.real.prepared_volumes import draw_free_site, draw_place
from training.lung_nodule_ct.real.reference_volumes import MarkedNodule
from training.lung_nodule_ct.series.training_series import TrainingSeries
from training.lung_nodule_ct.synthesis.distractors import Distractor
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

POSITIVE_SHARE = 0.6
MARKED_SHARE = 0.15  # of the positive patches of a series with marks
SYNTHETIC_SHARE = 0.15  # of the others
HARD_SHARE = 0.5  # of the negative patches: around regions that the initial detector takes for nodules
TUMOUR_HU = -300.0
ANY_FOLD = -1
REAL_BANK_VERSION = 2

Patch = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]


def build_real_bank(
    backgrounds: Sequence[Background],
    nodules: Sequence[RealNodule],
    folder: Path,
    *,
    seed: int,
    size: int,
    held: int | None = None,
    progress: Callable[[str], None] = print,
) -> PatchBank:
    """Draw ``size`` patches of each series into a folder of its own, or open those that are there already.

    Each patch with pasted nodules has them from the patients of one fold; those of fold ``held`` are not usable.
    """
    parts = []
    for one in backgrounds:
        own = folder / one.name
        wanted = {"version": REAL_BANK_VERSION, "seed": seed, "size": size, "nodules": len(nodules), "hard": len(one.hard)}
        note = own / "bank.json"
        if not note.exists() or json.loads(note.read_text()) != wanted:
            _draw_series(one, nodules, own, seed, size)
            note.write_text(json.dumps(wanted))
            progress(f"{size} patches of {one.name}")
        parts.append([np.load(own / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("hu", "label", "fold")])
    positive = np.array([bool((label[i] == NODULE).any()) for _, label, _ in parts for i in range(size)])
    folds = np.concatenate([fold for _, _, fold in parts])
    usable = None if held is None else folds != held
    return PatchBank(tuple(hu for hu, _, _ in parts), tuple(label for _, label, _ in parts), positive, size, usable)


def _draw_series(background: Background, nodules: Sequence[RealNodule], own: Path, seed: int, size: int) -> None:
    series, marks = background.prepare(), background.marks
    air = np.argwhere(series.lungs.air)
    own.mkdir(parents=True, exist_ok=True)
    (own / "bank.json").unlink(missing_ok=True)
    hu, label = np.empty((size, EDGE, EDGE, EDGE), np.int16), np.empty((size, EDGE, EDGE, EDGE), np.uint8)
    fold = np.full(size, ANY_FOLD, np.int8)
    by_fold = [[nodule for nodule in nodules if fold_of(nodule.patient) == number] for number in range(FOLDS)]
    for i in range(size):
        rng = np.random.default_rng([seed, 31, zlib.crc32(series.name.encode()), i])
        if i % 10 >= POSITIVE_SHARE * 10:
            hu[i], label[i] = _negative(series, rng, background.hard)
        elif marks and rng.random() < MARKED_SHARE:
            hu[i], label[i] = _marked(series, rng, marks[int(rng.integers(len(marks)))])
        elif rng.random() < SYNTHETIC_SHARE:
            hu[i], label[i] = draw_patch.draw_patch(series, rng, True)
        else:
            fold[i] = i % FOLDS
            hu[i], label[i] = _pasted(series, air, rng, by_fold[i % FOLDS])
    for name, values in (("hu", hu), ("label", label), ("fold", fold)):
        np.save(own / f"{name}.npy", values)


def _negative(series: TrainingSeries, rng: Rng, hard: Sequence[Index]) -> Patch:
    if not hard or rng.random() >= HARD_SHARE:
        return draw_patch.draw_patch(series, rng, False)
    centre = draw_patch.place_near(series, rng, hard[int(rng.integers(len(hard)))], 10.0)
    return draw_patch.make_patch(series, rng, centre, [], [])


def _pasted(series: TrainingSeries, air: npt.NDArray[np.intp], rng: Rng, nodules: Sequence[RealNodule]) -> Patch:
    """A patch around one pasted nodule, with others where they fit; sometimes a drawn vessel or band beside it."""
    inserts: list[tuple[Index, draw_patch.Insert]] = []
    placed: list[tuple[Index, float]] = []
    centre: Index | None = None
    for _ in range(40):
        nodule = nodules[int(rng.integers(len(nodules)))]
        at = draw_free_site(series, air, rng, nodule.diameter_mm, draw_place(nodule, rng))
        if at is None:
            continue
        if centre is None:
            centre = draw_patch.place_near(series, rng, at, 12.0)
        elif np.abs(np.subtract(at, centre) * series.spacing_mm).max() > EDGE / 2 - 4 or any(
            np.linalg.norm(np.subtract(at, other) * series.spacing_mm) < (nodule.diameter_mm + d) / 2 + 8 for other, d in placed
        ):
            continue
        placed.append((at, nodule.diameter_mm))
        inserts.append((at, real(series, rng, nodule)))
        if len(placed) == 2:
            break
    if centre is None:
        return draw_patch.draw_patch(series, rng, True)
    distractors = []
    if rng.random() < 0.25:
        kind = str(rng.choice(("vessel", "airway", "band")))
        distractors.append(Distractor(draw_patch.place_near(series, rng, centre, 22.0), kind))
    return draw_patch.make_patch(series, rng, centre, inserts, distractors)


def real(series: TrainingSeries, rng: Rng, nodule: RealNodule) -> draw_patch.Insert:
    """Pastes a real nodule."""

    def insert(hu: npt.NDArray[np.int16], occupied: Float, at: Index) -> None:
        paste_nodule(hu, occupied, series.spacing_mm, rng, nodule, at)

    return insert


def _marked(series: TrainingSeries, rng: Rng, mark: MarkedNodule) -> Patch:
    """A patch near a marked tumour: dense voxels in the ball of its diameter are nodule, the rest of the ball is neither."""
    centre = draw_patch.place_near(series, rng, mark.centre, min(20.0, mark.diameter_mm / 2))
    hu, label = draw_patch.make_patch(series, rng, centre, [], [])
    patch = grids.cube_grid(centre, EDGE, series.spacing_mm)
    middle = np.array(patch.from_native(mark.centre))
    distance = np.linalg.norm(np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), -1) - middle, axis=-1)
    dense = ndimage.gaussian_filter(hu.astype(np.float32), 1.0) > TUMOUR_HU
    field = series.lungs.on_grid(series.lungs.field, patch)
    label[(distance <= mark.diameter_mm / 2) & dense & field] = NODULE
    return hu, label
