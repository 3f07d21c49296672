"""Random variation of patches: geometry, slice thickness, kernel, dose, contrast, density of the lung background."""

import numpy as np
import numpy.typing as npt
import torch

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float, normalise
from training.lung_nodule_ct.patches.draw_patch import EDGE, IGNORED, NODULE
from training.lung_nodule_ct.patches.patch_bank import PatchBank
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

CROP = 48  # of 64 voxels: the rest is room for random placement


def random_placement(label: npt.NDArray[np.uint8], rng: Rng, crop: int = CROP) -> Float:
    """(3, 4) matrix from a crop (z, y, x in -1..1) to a patch: rotated in plane, scaled, flipped; a nodule stays inside the crop."""
    inside = np.flatnonzero(label == NODULE)
    room = (EDGE - crop) / 2
    middle = rng.uniform(-room, room, 3)
    if len(inside):
        kept = np.array(np.unravel_index(inside[int(rng.integers(len(inside)))], label.shape)) - (EDGE - 1) / 2
        middle = np.clip(kept + rng.uniform(-(crop / 2 - 6), crop / 2 - 6, 3), -room, room)
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else rng.integers(4) * np.pi / 2
    scale = rng.uniform(0.85, 1.15) * (crop / EDGE)
    flips = np.where(rng.random(3) < 0.5, -1.0, 1.0)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate([turn * flips * scale, (middle / (EDGE / 2))[:, None]], axis=1)
    return matrix.astype(np.float32)


def apply_placement(
    hu: npt.NDArray[np.int16], label: npt.NDArray[np.uint8], matrices: Float, crop: int = CROP
) -> tuple[Float, npt.NDArray[np.uint8]]:
    """(N, 64, 64, 64) patches to (N, crop, crop, crop); voxels outside of a patch repeat its edge and are IGNORED."""
    swapped = np.flip(matrices[:, :, :3], axis=(1, 2))  # torch orders axes x first
    theta = torch.from_numpy(np.concatenate([swapped, np.flip(matrices[:, :, 3:], axis=1)], axis=2).copy())
    shape = [len(hu), 1, crop, crop, crop]
    grid = torch.nn.functional.affine_grid(theta, shape, align_corners=False)
    values = torch.from_numpy(hu.astype(np.float32))[:, None]
    marks = torch.from_numpy(label.astype(np.float32))[:, None]
    moved = torch.nn.functional.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = torch.nn.functional.grid_sample(marks, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    labels[(grid.abs() > 1).any(dim=-1)[:, None]] = IGNORED
    return moved[:, 0].numpy(), labels[:, 0].numpy().astype(np.uint8)


def thick_slices_matrix(depth: int, thickness_mm: float, spacing_mm: float, offset_mm: float) -> Float:
    """(depth, depth) matrix along z at 1 mm: slices of ``thickness_mm`` every ``spacing_mm``, interpolated back to 1 mm."""
    at = np.arange(depth, dtype=np.float64)
    centres = np.arange(offset_mm - spacing_mm, depth + spacing_mm, spacing_mm)
    cover = np.clip(thickness_mm / 2 + 0.5 - np.abs(at[None] - np.clip(centres, 0, depth - 1)[:, None]), 0, 1)
    cover /= cover.sum(axis=1, keepdims=True)
    below = np.clip(np.searchsorted(centres, at, side="right") - 1, 0, len(centres) - 2)
    share = (at - centres[below]) / spacing_mm
    matrix: Float = (cover[below] * (1 - share)[:, None] + cover[below + 1] * share[:, None]).astype(np.float32)
    return matrix


def _multiply_along_z(matrix: Float, values: Float) -> Float:
    """By torch, whose thread count the training fixes; numpy could add in another order on another machine."""
    out: Float = torch.mm(torch.from_numpy(matrix), torch.from_numpy(values.reshape(len(values), -1))).numpy().reshape(values.shape)
    return out


def _blur_in_plane(values: Float, sigma: float) -> Float:
    out: Float = ndimage.gaussian_filter(values, (0.0, sigma, sigma), truncate=3.0)
    return out


def vary_appearance(values: Float, rng: Rng) -> Float:
    """One (Z, Y, X) patch in HU as with another scanner, kernel, slice thickness, dose and depth of breath; normalised."""
    if rng.random() < 0.5:  # lungs of other density: from empty phantom foam to a shallow breath
        emptier: Float = np.clip((-500 - values) / 400, 0, 1)
        values = values + emptier * np.float32(rng.uniform(-80, 130))
    kernel = rng.random()
    soft, sharp = float(rng.uniform(0.35, 1.1)), float(rng.uniform(0.3, 1.5))
    if kernel < 0.3:
        values = _blur_in_plane(values, soft)
    elif kernel < 0.55:
        values = values + np.float32(sharp) * (values - _blur_in_plane(values, 0.9))
    noise = None
    if rng.random() < 0.65:
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        if kernel < 0.3:
            noise = _blur_in_plane(noise, soft)
        elif kernel < 0.55:  # a sharp kernel keeps fine noise
            noise = noise - np.float32(0.8) * _blur_in_plane(noise, 0.9)
    if rng.random() < 0.4:
        thickness = float(rng.uniform(1.0, 5.0))
        spacing = float(rng.uniform(max(1.0, thickness / 2), thickness))
        matrix = thick_slices_matrix(len(values), thickness, spacing, float(rng.uniform(0, spacing)))
        values = _multiply_along_z(matrix, values)
        noise = None if noise is None else _multiply_along_z(matrix, noise)
    if noise is not None:
        values = values + noise * np.float32(rng.uniform(4, 55) / max(float(noise.std()), 1e-6))
    values = (values + 1000) * np.float32(rng.uniform(0.95, 1.05)) - 1000 + np.float32(rng.uniform(-25, 25))
    return normalise(values)


def random_batch(bank: PatchBank, rng: Rng, size: int, crop: int = CROP) -> tuple[Float, npt.NDArray[np.uint8]]:
    """``size`` varied patches, two of three with a nodule: (N, 1, crop, crop, crop) values and labels."""
    with_nodule, without = bank.indices(positive=True), bank.indices(positive=False)
    most = -(-2 * size // 3)
    chosen = [int(rng.choice(with_nodule)) for _ in range(most)]
    chosen += [int(rng.choice(without if len(without) else with_nodule)) for _ in range(size - most)]
    patches = [bank.patch(i) for i in chosen]
    matrices = np.stack([random_placement(label, rng, crop) for _, label in patches])
    values, labels = apply_placement(np.stack([hu for hu, _ in patches]), np.stack([label for _, label in patches]), matrices, crop)
    return np.stack([vary_appearance(v, rng) for v in values])[:, None], labels[:, None]
