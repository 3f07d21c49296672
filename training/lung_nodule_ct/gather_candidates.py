"""What the second stage learns from: candidates that the first stage finds in varied training patches.

Right: regions on an inserted nodule, and nodules that the first stage missed. Wrong: every other region, and dense places
beside aerated lung that it did not mark (it has learned its own series by heart; another series' vessels it has not).
What may be a real nodule of the series is neither.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.ct.isotropic_grid import Float
from models.ct.ndimage import ndimage
from models.lung_nodule_ct.second_stage import crop
from training.lung_nodule_ct import augment
from training.lung_nodule_ct.patch_bank import BACKGROUND, EDGE, NODULE, Bank

KEPT = 40  # voxels: what the second stage sees, and room to move
INNER = (12, EDGE - 12)
LOW_HEAT = 0.1
LEAST_VOXELS = 8
DENSE_PLACES = 2  # per patch
AT_ONCE = 4
STEPS = 127.0  # -1..1 in int8
GATHER_VERSION = 1

Place = tuple[npt.NDArray[np.float64], bool]


@dataclass(frozen=True, slots=True)
class Examples:
    """``cubes`` int8 (N, 40, 40, 40), normalised HU times 127; ``nodule`` (N,) bool."""

    cubes: npt.NDArray[np.int8]
    nodule: npt.NDArray[np.bool_]


def _regions(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.intp]]:
    """(n, 3) indices of each connected region of at least LEAST_VOXELS."""
    labels, _ = ndimage.label(mask)
    found = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        points = np.argwhere(labels[box] == index) + [s.start for s in box]
        if len(points) >= LEAST_VOXELS:
            found.append(points)
    return found


def places(values: Float, marks: npt.NDArray[np.uint8], heat: Float, rng: np.random.Generator) -> list[Place]:
    """Indices in one patch with whether a nodule is there; (64, 64, 64) values, marks and heat."""
    found: list[Place] = []
    seen = np.zeros(marks.shape, dtype=bool)
    for points in _regions(heat > LOW_HEAT):
        here = marks[tuple(points.T)]
        seen[tuple(points.T)] = True
        weights = heat[tuple(points.T)]
        centre = (points * weights[:, None]).sum(axis=0) / weights.sum()
        if (here == NODULE).sum() >= max(2, 0.15 * len(here)):
            found.append((centre, True))
        elif (here == BACKGROUND).all():
            found.append((centre, False))
    for points in _regions(marks == NODULE):
        if not seen[tuple(points.T)].any():
            found.append((points.mean(axis=0), True))
    soft = ndimage.gaussian_filter(values, 1.0)
    airy = ndimage.uniform_filter((soft < -0.5).astype(np.float32), 11) > 0.25
    clear = ndimage.uniform_filter(((marks != BACKGROUND) | seen).astype(np.float32), 7) < 1e-4
    dense = np.argwhere((soft > -0.4) & airy & clear)
    for _ in range(min(DENSE_PLACES, len(dense))):
        found.append((dense[int(rng.integers(len(dense)))].astype(np.float64), False))
    return [(c, n) for c, n in found if (c >= INNER[0]).all() and (c < INNER[1]).all()]


def gather(
    network: nn.Module, bank: Bank, folder: Path, *, seed: int, first_digest: str, looks: int, progress: Callable[[str], None] = print
) -> Examples:
    """Make (or open, when the same are there already) the examples of ``looks`` varied looks at patches of the bank."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"version": GATHER_VERSION, "seed": seed, "first": first_digest, "looks": looks, "patches": len(bank.positive)}
    note = folder / "examples.json"
    if not note.exists() or json.loads(note.read_text()) != wanted:
        note.unlink(missing_ok=True)
        cubes: list[npt.NDArray[np.int8]] = []
        nodule: list[bool] = []
        for start in range(0, looks, AT_ONCE):
            varied = [_varied(bank, seed, i) for i in range(start, min(looks, start + AT_ONCE))]
            inputs = torch.from_numpy(np.stack([v for v, _ in varied])[:, None]).contiguous(memory_format=torch.channels_last_3d)
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                heats = torch.sigmoid(network(inputs)).float().numpy()[:, 0]
            for offset, ((values, marks), heat) in enumerate(zip(varied, heats, strict=True)):
                for centre, is_nodule in places(values, marks, heat, np.random.default_rng([seed, 23, start + offset])):
                    cubes.append(np.round(crop(values, centre.tolist(), KEPT) * STEPS).astype(np.int8))
                    nodule.append(is_nodule)
            if start // AT_ONCE % 100 == 99:
                progress(f"second stage: {len(cubes)} candidates ({sum(nodule)} nodules) from {start + AT_ONCE} of {looks} patches")
        np.save(folder / "cubes.npy", np.stack(cubes))
        np.save(folder / "nodule.npy", np.array(nodule))
        note.write_text(json.dumps(wanted))
    return Examples(np.load(folder / "cubes.npy", allow_pickle=False), np.load(folder / "nodule.npy", allow_pickle=False))


def _varied(bank: Bank, seed: int, turn: int) -> tuple[Float, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng([seed, 19, turn])
    series, nth = turn % len(bank.hu), turn // len(bank.hu)  # the series in turn
    hu, label = bank.patch(series * bank.size + nth % bank.size)
    matrix = augment.placement(label, rng, EDGE)
    values, marks = augment.placed(hu[None], label[None], matrix[None], EDGE)
    return augment.look(values[0], rng), marks[0]
