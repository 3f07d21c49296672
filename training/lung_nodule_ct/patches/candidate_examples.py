"""The examples that the second stage is trained on: candidates that the first stage finds in varied training patches.

Positive: regions on an inserted nodule, and nodules that the first stage missed. Negative: every other region, and dense places beside
aerated lung that it did not mark (it has learned the vessels of its own series, but not those of others). Regions that may be real
nodules of the series are neither.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float
from models.lung_nodule_ct import network
from models.lung_nodule_ct.second_stage import crop_cube
from training.lung_nodule_ct.patches.augment import apply_placement, random_placement, vary_appearance
from training.lung_nodule_ct.patches.draw_patch import BACKGROUND, EDGE, NODULE
from training.lung_nodule_ct.patches.patch_bank import PatchBank
from training.precision import mixed_precision

KEPT = 40  # voxels: the input of the second stage, and room for random shifts
INNER = (12, EDGE - 12)
LOW_HEAT = 0.1
LEAST_VOXELS = 8
DENSE_PLACES = 2  # per patch
AT_ONCE = 4
INT8_SCALE = 127.0  # -1..1 in int8
EXAMPLES_VERSION = 1

Place = tuple[npt.NDArray[np.float64], bool]  # index (z, y, x), and whether a nodule is there


@dataclass(frozen=True, slots=True)
class CandidateExamples:
    """``cubes`` int8 (N, 40, 40, 40), normalised HU times 127; ``nodule`` (N,) bool; ``first``: SHA-256 of the first stage's weights."""

    cubes: npt.NDArray[np.int8]
    nodule: npt.NDArray[np.bool_]
    first: str


def build_examples(
    first: Path,
    bank: PatchBank,
    folder: Path,
    *,
    seed: int,
    looks: int,
    progress: Callable[[str], None] = print,
) -> CandidateExamples:
    """The candidates of the first stage (weights ``first``) in ``looks`` varied patches of the bank.

    They are opened from ``folder`` when the same ones are there already.
    """
    finder = network.build()
    finder.load_state_dict(load_file(first))
    finder.eval().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {"version": EXAMPLES_VERSION, "seed": seed, "first": digest, "looks": looks, "patches": len(bank.positive)}
    note = folder / "examples.json"
    if not note.exists() or json.loads(note.read_text()) != wanted:
        note.unlink(missing_ok=True)
        cubes: list[npt.NDArray[np.int8]] = []
        nodule: list[bool] = []
        for start in range(0, looks, AT_ONCE):
            varied = [_varied_patch(bank, seed, i) for i in range(start, min(looks, start + AT_ONCE))]
            inputs = torch.from_numpy(np.stack([v for v, _ in varied])[:, None]).contiguous(memory_format=torch.channels_last_3d)
            with torch.inference_mode(), mixed_precision():
                heats = torch.sigmoid(finder(inputs)).float().numpy()[:, 0]
            for offset, ((values, labels), heat) in enumerate(zip(varied, heats, strict=True)):
                for centre, is_nodule in find_places(values, labels, heat, np.random.default_rng([seed, 23, start + offset])):
                    cubes.append(np.round(crop_cube(values, centre.tolist(), KEPT) * INT8_SCALE).astype(np.int8))
                    nodule.append(is_nodule)
            if start // AT_ONCE % 100 == 99:
                progress(f"second stage: {len(cubes)} candidates ({sum(nodule)} nodules) from {start + AT_ONCE} of {looks} patches")
        np.save(folder / "cubes.npy", np.stack(cubes))
        np.save(folder / "nodule.npy", np.array(nodule))
        note.write_text(json.dumps(wanted))
    cubes_file, nodule_file = (folder / f"{name}.npy" for name in ("cubes", "nodule"))
    return CandidateExamples(np.load(cubes_file, allow_pickle=False), np.load(nodule_file, allow_pickle=False), digest)


def find_places(values: Float, labels: npt.NDArray[np.uint8], heat: Float, rng: np.random.Generator) -> list[Place]:
    """Positive and negative places in one patch; (64, 64, 64) values, labels and heat of the first stage."""
    found: list[Place] = []
    marked = np.zeros(labels.shape, dtype=bool)
    for points in _regions(heat > LOW_HEAT):
        region = labels[tuple(points.T)]
        marked[tuple(points.T)] = True
        weights = heat[tuple(points.T)]
        centre = (points * weights[:, None]).sum(axis=0) / weights.sum()
        if (region == NODULE).sum() >= max(2, 0.15 * len(region)):
            found.append((centre, True))
        elif (region == BACKGROUND).all():
            found.append((centre, False))
    for points in _regions(labels == NODULE):
        if not marked[tuple(points.T)].any():
            found.append((points.mean(axis=0), True))
    soft = ndimage.gaussian_filter(values, 1.0)
    airy = ndimage.uniform_filter((soft < -0.5).astype(np.float32), 11) > 0.25
    clear = ndimage.uniform_filter(((labels != BACKGROUND) | marked).astype(np.float32), 7) < 1e-4
    dense = np.argwhere((soft > -0.4) & airy & clear)
    for _ in range(min(DENSE_PLACES, len(dense))):
        found.append((dense[int(rng.integers(len(dense)))].astype(np.float64), False))
    return [(c, n) for c, n in found if (c >= INNER[0]).all() and (c < INNER[1]).all()]


def _regions(mask: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.intp]]:
    """(n, 3) indices of each connected region of at least LEAST_VOXELS."""
    labels, _ = ndimage.label(mask)
    found = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        points = np.argwhere(labels[box] == index) + [s.start for s in box]
        if len(points) >= LEAST_VOXELS:
            found.append(points)
    return found


def _varied_patch(bank: PatchBank, seed: int, number: int) -> tuple[Float, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng([seed, 19, number])
    chosen = np.arange(len(bank.positive)) if bank.usable is None else np.flatnonzero(bank.usable)
    series, nth = number % len(bank.hu), number // len(bank.hu)  # alternates between the series
    own = chosen[chosen // bank.size == series]
    hu, label = bank.patch(int(own[nth % len(own)]))
    matrix = random_placement(label, rng, EDGE)
    values, labels = apply_placement(hu[None], label[None], matrix[None], EDGE)
    return vary_appearance(values[0], rng), labels[0]
