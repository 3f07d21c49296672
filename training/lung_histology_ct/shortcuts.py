"""Can normal be told by where a picture comes from? The proofs, each with chance at an area of 0.5."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from models.lung_histology_ct.preprocess import Prepared, blanked, prepare, resized
from training.bootstrap import Answers, bootstrap
from training.lung_histology_ct.data import CLASSES, Slices

NORMAL = CLASSES.index("normal")
THUMBNAIL = (24, 32)


def proofs(
    slices: Slices, limits: Mapping[str, float], ask: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int64]], npt.NDArray[np.float64]]
) -> dict[str, Any]:
    """Areas under the curve of normal against the rest, with intervals over clusters.

    ``ask`` gives (N, 4) probabilities of planes (N, 2, 96, 128), each by the network that never saw the cluster; it is told the folds.
    """
    raw = np.stack([resized(picture.astype(np.float32), THUMBNAIL) for picture in slices.grey])
    fine, masses = (np.stack([resized(one[plane].astype(np.float32), THUMBNAIL) for one in slices.planes]) for plane in (0, 1))
    painted = [prepare(blanked(picture), limits) for picture in slices.grey]
    still = np.array([isinstance(one, Prepared) for one in painted])
    planes = np.stack([one.planes for one in painted if isinstance(one, Prepared)])
    empty = np.stack([resized(one[1].astype(np.float32), THUMBNAIL) for one in planes])
    every = np.ones(len(slices.labels), dtype=bool)
    return {
        "nearest_neighbour_before": told(nearest(raw, slices, every), slices, every),
        "nearest_neighbour_fine_plane": told(nearest(fine, slices, every), slices, every),
        "nearest_neighbour_masses_plane": told(nearest(masses, slices, every), slices, every),
        "nearest_neighbour_lungs_blanked": told(nearest(empty, slices, still), slices, still),
        "network": told(ask(slices.planes, slices.folds)[:, NORMAL], slices, every),
        "network_lungs_blanked": told(ask(planes, slices.folds[still])[:, NORMAL], slices, still),
    }


def nearest(images: npt.NDArray[np.float32], slices: Slices, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(N,) 0..1, above 0.5 where the nearest picture of another cluster is a normal one; ``images`` are those ``chosen``."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    square = (flat**2).sum(axis=1)
    distance = np.sqrt(np.maximum(square[:, None] + square[None] - 2 * flat @ flat.T, 0.0))
    clusters, normal = slices.clusters[chosen], slices.labels[chosen] == NORMAL
    distance[clusters[:, None] == clusters[None]] = np.inf
    to_normal, to_other = distance[:, normal].min(axis=1), distance[:, ~normal].min(axis=1)
    whole = to_normal + to_other
    return np.asarray(np.where(whole > 0, to_other / np.maximum(whole, 1e-12), 0.5))


def told(score: npt.NDArray[np.float64], slices: Slices, chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How well (N,) scores of normal tell normal from the carcinomas; ``recall`` at 0.5 and how many others are above it."""
    normal = slices.labels[chosen] == NORMAL
    groups = np.array([str(cluster) for cluster in slices.clusters[chosen]])
    pair = Answers(("carcinoma", "normal"), np.array([True, False]), np.stack([1 - score, score], 1), normal.astype(np.int64), groups, 0)
    area, low, high = bootstrap(pair).get("malignancy_auc", (float("nan"),) * 3)
    return {
        "auc": area,
        "auc_low": low,
        "auc_high": high,
        "normal_called_normal": round(float((score[normal] > 0.5).mean()), 4),
        "carcinoma_called_normal": round(float((score[~normal] > 0.5).mean()), 4),
        "n": int(chosen.sum()),
    }
