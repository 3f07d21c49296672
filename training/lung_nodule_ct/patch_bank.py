"""A cached bank of training patches: (N, 64, 64, 64) at 1 mm, HU as int16 and labels as uint8, in plain .npy files."""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Index
from training.lung_nodule_ct.distractors import KINDS, Distractor
from training.lung_nodule_ct.distractors import insert as distract
from training.lung_nodule_ct.scene import Scene, draw_nodule
from training.lung_nodule_ct.synthetic_nodules import Nodule, Rng, insert

EDGE = 64
BACKGROUND, NODULE, IGNORED = 0, 1, 2
POSITIVE_SHARE = 0.6
SMALL_SHARE = 0.4  # of the nodules: 4 to 7 mm, which are the ones that are missed
PLACE_SHARES = (0.3, 0.45, 0.25)  # as in scene.PLACES: the pleura is where most are missed
BANK_VERSION = 2


@dataclass(frozen=True, slots=True)
class Bank:
    """``hu`` int16 and ``label`` uint8: of each scene a memory map (size, 64, 64, 64); ``positive`` (scenes * size,) bool."""

    hu: tuple[npt.NDArray[np.int16], ...]
    label: tuple[npt.NDArray[np.uint8], ...]
    positive: npt.NDArray[np.bool_]
    size: int

    def patch(self, index: int) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """HU and labels (64, 64, 64) of one patch."""
        part, at = divmod(index, self.size)
        return self.hu[part][at], self.label[part][at]


def _patch(
    scene: Scene, rng: Rng, centre: Index, nodules: Sequence[Nodule], others: Sequence[Distractor]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One patch around a native index, with nodules and what is no nodule inserted at native resolution."""
    margin = [(EDGE / 2 + 20) / s for s in scene.spacing_mm]
    low = [max(0, int(c - m)) for c, m in zip(centre, margin, strict=True)]
    high = [min(n, int(c + m) + 2) for c, m, n in zip(centre, margin, scene.hu.shape, strict=True)]
    hu = scene.hu[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].copy()
    here = (centre[0] - low[0], centre[1] - low[1], centre[2] - low[2])
    grid = grids.centred(here, EDGE, scene.spacing_mm)
    whole = grids.centred(centre, EDGE, scene.spacing_mm)
    label = np.zeros((EDGE, EDGE, EDGE), dtype=np.uint8)
    real = np.zeros_like(label, dtype=bool)
    start = [round(v) for v in scene.grid.of_native(whole.origin)]  # both grids have 1 mm steps
    source, target = [], []
    for s, n in zip(start, scene.real.mask.shape, strict=True):
        a, b = max(0, s), min(n, s + EDGE)
        source.append(slice(a, max(a, b)))
        target.append(slice(a - s, max(a, b) - s))
    real[tuple(target)] = scene.real.mask[tuple(source)]
    label[real] = IGNORED
    field = scene.lungs.on(scene.lungs.field, whole)
    for thing in others:
        z, y, x = (c - a for c, a in zip(thing.centre, low, strict=True))
        distract(hu, scene.spacing_mm, rng, scene.noise, Distractor((z, y, x), thing.kind, thing.normal))
    for nodule in nodules:
        moved = Nodule(
            (nodule.centre[0] - low[0], nodule.centre[1] - low[1], nodule.centre[2] - low[2]),
            nodule.diameter_mm, nodule.kind, nodule.place,
        )  # fmt: skip
        if any(not 0 <= c < n for c, n in zip(moved.centre, hu.shape, strict=True)):
            continue
        occupied = np.zeros(hu.shape, dtype=np.float32)
        insert(hu, occupied, scene.spacing_mm, rng, scene.noise, moved)
        share = grids.resample(occupied, grid, smooth=False)
        label[(share > 0.5 * min(1.0, float(share.max()) + 1e-6)) & (share > 0.1) & field] = NODULE
    return np.round(grids.resample(hu, grid)).astype(np.int16), label


def _centre(scene: Scene, rng: Rng, dense: bool) -> Index:
    """A native index in the lungs for a patch without nodules; ``dense`` asks for vessels, hilum or pleura."""
    vessel = scene.vessel | (scene.lungs.air & (scene.inner_mm < 4.0)) if dense else scene.lungs.air
    places = np.argwhere(vessel)
    return scene.native(places[int(rng.integers(len(places)))].astype(np.float64))


def _distractor(scene: Scene, rng: Rng) -> Distractor:
    """One thing that is no nodule, somewhere in the lungs; plaques on the pleura."""
    kind = str(rng.choice(KINDS, p=[0.35, 0.15, 0.15, 0.2, 0.15]))
    allowed = scene.lungs.air & (scene.inner_mm < 3.0) if kind == "plaque" else scene.lungs.air
    places = np.argwhere(allowed)
    coarse = places[int(rng.integers(len(places)))]
    return Distractor(scene.native(coarse.astype(np.float64)), kind, scene.to_wall(coarse))


def _near(scene: Scene, rng: Rng, centre: Index, reach_mm: float) -> Index:
    z, y, x = np.asarray(centre) + rng.uniform(-reach_mm, reach_mm, 3) / scene.spacing_mm
    return float(z), float(y), float(x)


def draw_patch(scene: Scene, rng: Rng, positive: bool) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One training patch: with one to two nodules anywhere in it, or with none; often with something that is no nodule."""
    if not positive:
        if rng.random() < 0.5:
            return _patch(scene, rng, _centre(scene, rng, dense=rng.random() < 0.75), [], [])
        thing = _distractor(scene, rng)
        return _patch(scene, rng, _near(scene, rng, thing.centre, 16.0), [], [thing])
    first = None
    while first is None:
        high = 7.0 if rng.random() < SMALL_SHARE else 30.0
        first = draw_nodule(scene, rng, 4.0, high, PLACE_SHARES)
    centre = _near(scene, rng, first.centre, 20.0)
    others: list[Distractor] = []
    if rng.random() < 0.35:  # a vessel or a band beside it or through it
        kind = str(rng.choice(("vessel", "airway", "band")))
        others.append(Distractor(_near(scene, rng, centre, 22.0), kind))
    nodules = [first]
    if rng.random() < 0.4:
        for _ in range(12):  # others only where they fall into this patch and leave room
            other = draw_nodule(scene, rng, high=14.0, shares=PLACE_SHARES)
            if other is None:
                continue
            apart = np.subtract(other.centre, first.centre) * scene.spacing_mm
            inside = np.abs(np.subtract(other.centre, centre) * scene.spacing_mm).max() < EDGE / 2 - 4
            if inside and np.linalg.norm(apart) > (first.diameter_mm + other.diameter_mm) / 2 + 6:
                nodules.append(other)
                break
    return _patch(scene, rng, centre, nodules, others)


def build(scenes: Sequence[Scene], folder: Path, *, seed: int, size: int, progress: Callable[[str], None] = print) -> Bank:
    """Make (or open, when the same one is there already) banks of ``size`` patches, one of each scene in a folder of its own.

    What is drawn of a scene does not depend on which other scenes there are: trainings that leave a series out share the banks.
    """
    parts = [_of_scene(scene, folder / scene.name, seed, size, progress) for scene in scenes]
    positive = np.array([bool((label[i] == NODULE).any()) for _, label in parts for i in range(size)])
    return Bank(tuple(hu for hu, _ in parts), tuple(label for _, label in parts), positive, size)


def _of_scene(
    scene: Scene, folder: Path, seed: int, size: int, progress: Callable[[str], None]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"version": BANK_VERSION, "seed": seed, "size": size, "series": scene.name}
    note = folder / "bank.json"
    if not note.exists() or json.loads(note.read_text()) != wanted:
        note.unlink(missing_ok=True)
        shape = (size, EDGE, EDGE, EDGE)
        hu = np.lib.format.open_memmap(folder / "hu.npy", mode="w+", dtype=np.int16, shape=shape)
        label = np.lib.format.open_memmap(folder / "label.npy", mode="w+", dtype=np.uint8, shape=shape)
        for i in range(size):
            rng = np.random.default_rng([seed, 11, zlib.crc32(scene.name.encode()), i])
            hu[i], label[i] = draw_patch(scene, rng, i % 10 < POSITIVE_SHARE * 10)
            if (i + 1) % 100 == 0:
                progress(f"patches of {scene.name}: {i + 1} of {size}")
        hu.flush()
        label.flush()
        note.write_text(json.dumps(wanted))
    return (
        np.load(folder / "hu.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / "label.npy", mmap_mode="r", allow_pickle=False),
    )
