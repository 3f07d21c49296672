"""Clusters screenshots by the likeness of the chests, as a guess at patients, and assigns clusters to folds."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from core.errors import ModelError
from imaging.masks import box_of
from imaging.ndimage import ndimage
from models.lung_histology_ct.lung_field_2d import find_lungs
from models.lung_histology_ct.preprocess import grey_levels, reduce_to_working_size, resize_plane

# Correlation of two chests from which on they count as one patient. The closest pair of different classes has 0.893, so the limit rather
# joins two patients than splits one.
SAME_PATIENT = 0.88
CHEST_SHAPE = (48, 64)


def chest_similarity(pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """(N, N) correlation of chests, the maximum over mirror images; independent of window and crop.

    Compared is the box around the lungs, on the scale of lung and tissue, at 48 x 64 pixels: shape of the chest, heart, bones and lungs.

    Raises
    ------
    ModelError
        A picture shows no lungs.
    """
    chests = []
    for picture in pictures:
        small = reduce_to_working_size(picture)
        lungs = find_lungs(small)
        levels = None if lungs is None else grey_levels(small, lungs)
        if lungs is None or levels is None or isinstance(levels, str):
            raise ModelError("a slice without lungs cannot be compared")
        scaled = np.clip((small - levels[0]) / max(1.0, levels[1] - levels[0]), 0.0, 1.0)
        chests.append(resize_plane(ndimage.gaussian_filter(scaled, 1.0)[box_of(lungs.air)], CHEST_SHAPE))
    whole = np.stack(chests).astype(np.float64)
    found = np.full((len(whole), len(whole)), -1.0)
    for mirrored in (whole, whole[:, :, ::-1], whole[:, ::-1], whole[:, ::-1, ::-1]):
        np.maximum(found, _standardise(whole) @ _standardise(mirrored).T, out=found)
    return np.asarray(np.maximum(found, found.T))


def _standardise(images: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def cluster_chests(similarity: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """(N,) cluster numbers from 0: slices of one class are in one cluster where a chain of pairs above ``SAME_PATIENT`` connects them."""
    near = (similarity > SAME_PATIENT) & (labels[:, None] == labels[None, :])
    found: npt.NDArray[np.int64] = connected_components(near, directed=False)[1].astype(np.int64)
    return found


def assign_folds(clusters: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], *, classes: int, folds: int) -> npt.NDArray[np.int64]:
    """(N,) fold: the clusters of every class, the largest first, each to the fold with the fewest images of the class."""
    assigned = np.zeros(len(labels), np.int64)
    for c in range(classes):
        filled = np.zeros(folds, np.int64)
        numbers, sizes = np.unique(clusters[labels == c], return_counts=True)
        order = sorted(range(len(numbers)), key=lambda i: (-sizes[i], hashlib.sha256(f"{c}:{i}".encode()).digest()))
        for i in order:
            fold = int(np.argmin(filled))
            assigned[clusters == numbers[i]] = fold
            filled[fold] += sizes[i]
    return assigned
