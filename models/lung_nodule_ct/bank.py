"""A cached bank of training patches: (N, 64, 64, 64) at 1 mm, HU as int16 and labels as uint8, in plain .npy files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.lung_nodule_ct import grid as grids
from models.lung_nodule_ct.grid import Index
from models.lung_nodule_ct.scene import Scene, draw_nodule
from models.lung_nodule_ct.synthetic import Nodule, Rng, insert

EDGE = 64
BACKGROUND, NODULE, IGNORED = 0, 1, 2
POSITIVE_SHARE = 0.6
BANK_VERSION = 1


@dataclass(frozen=True, slots=True)
class Bank:
    """``hu`` int16 and ``label`` uint8, both (N, 64, 64, 64) memory maps; ``positive`` (N,) bool."""

    hu: npt.NDArray[np.int16]
    label: npt.NDArray[np.uint8]
    positive: npt.NDArray[np.bool_]


def _patch(
    scene: Scene, rng: Rng, centre: Index, nodules: Sequence[Nodule]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One patch around a native index, with nodules inserted at native resolution."""
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


def draw_patch(scene: Scene, rng: Rng, positive: bool) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """One training patch: with one to three nodules anywhere in it, or with none."""
    if not positive:
        return _patch(scene, rng, _centre(scene, rng, dense=rng.random() < 0.6), [])
    first = None
    while first is None:
        first = draw_nodule(scene, rng)
    jitter = rng.uniform(-20, 20, 3) / scene.spacing_mm
    centre = (first.centre[0] + jitter[0], first.centre[1] + jitter[1], first.centre[2] + jitter[2])
    nodules = [first]
    if rng.random() < 0.4:
        for _ in range(12):  # others only where they fall into this patch and leave room
            other = draw_nodule(scene, rng, high=14.0)
            if other is None:
                continue
            apart = np.subtract(other.centre, first.centre) * scene.spacing_mm
            inside = np.abs(np.subtract(other.centre, centre) * scene.spacing_mm).max() < EDGE / 2 - 4
            if inside and np.linalg.norm(apart) > (first.diameter_mm + other.diameter_mm) / 2 + 6:
                nodules.append(other)
                break
    return _patch(scene, rng, centre, nodules)


def build(scenes: Sequence[Scene], folder: Path, *, seed: int, size: int, progress: Callable[[str], None] = print) -> Bank:
    """Make (or open, when the same one is there already) the bank of ``size`` patches in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"version": BANK_VERSION, "seed": seed, "size": size, "series": [s.name for s in scenes]}
    note = folder / "bank.json"
    if not note.exists() or json.loads(note.read_text()) != wanted:
        note.unlink(missing_ok=True)
        shape = (size, EDGE, EDGE, EDGE)
        hu = np.lib.format.open_memmap(folder / "hu.npy", mode="w+", dtype=np.int16, shape=shape)
        label = np.lib.format.open_memmap(folder / "label.npy", mode="w+", dtype=np.uint8, shape=shape)
        for i in range(size):
            rng = np.random.default_rng([seed, 11, i])
            hu[i], label[i] = draw_patch(scenes[i % len(scenes)], rng, (i // len(scenes)) % 10 < POSITIVE_SHARE * 10)
            if (i + 1) % 100 == 0:
                progress(f"patches: {i + 1} of {size}")
        hu.flush()
        label.flush()
        note.write_text(json.dumps(wanted))
    hu_map = np.load(folder / "hu.npy", mmap_mode="r", allow_pickle=False)
    label_map = np.load(folder / "label.npy", mmap_mode="r", allow_pickle=False)
    positive = np.array([bool((label_map[i] == NODULE).any()) for i in range(size)])
    return Bank(hu_map, label_map, positive)
