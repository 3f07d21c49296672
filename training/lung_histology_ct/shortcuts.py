"""Measures whether a normal slice can be recognised by its source instead of by its lungs; an AUC of 0.5 is chance."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from models.lung_histology_ct.preprocess import PreparedSlice, blank_lungs, prepare_slice, resize_plane
from training.bootstrap import bootstrap_metrics
from training.classifier_answers import ClassifierAnswers
from training.lung_histology_ct.data import NORMAL, SliceImages

THUMBNAIL = (24, 32)
Probabilities = npt.NDArray[np.float64]


def measure_shortcuts(
    slices: SliceImages,
    limits: Mapping[str, float],
    predict: Callable[[npt.NDArray[np.uint8], npt.NDArray[np.int64]], Probabilities],
) -> dict[str, Any]:
    """AUCs of normal against the carcinomas, with intervals over clusters, by a nearest neighbour and by the networks.

    ``predict`` computes (N, 4) probabilities of planes (N, 2, 96, 128) and their folds, each by the network trained without the fold.
    """
    raw = np.stack([resize_plane(picture.astype(np.float32), THUMBNAIL) for picture in slices.grey])
    fine, masses = (np.stack([resize_plane(one[plane].astype(np.float32), THUMBNAIL) for one in slices.planes]) for plane in (0, 1))
    blanked = [prepare_slice(blank_lungs(picture), limits) for picture in slices.grey]
    prepared = np.array([isinstance(one, PreparedSlice) for one in blanked])
    planes = np.stack([one.planes for one in blanked if isinstance(one, PreparedSlice)])
    empty = np.stack([resize_plane(one[1].astype(np.float32), THUMBNAIL) for one in planes])
    every = np.ones(len(slices.labels), dtype=bool)
    return {
        "nearest_neighbour_before": normal_auc(nearest_neighbour(raw, slices, every), slices, every),
        "nearest_neighbour_fine_plane": normal_auc(nearest_neighbour(fine, slices, every), slices, every),
        "nearest_neighbour_masses_plane": normal_auc(nearest_neighbour(masses, slices, every), slices, every),
        "nearest_neighbour_lungs_blanked": normal_auc(nearest_neighbour(empty, slices, prepared), slices, prepared),
        "network": normal_auc(predict(slices.planes, slices.folds)[:, NORMAL], slices, every),
        "network_lungs_blanked": normal_auc(predict(planes, slices.folds[prepared])[:, NORMAL], slices, prepared),
    }


def nearest_neighbour(images: npt.NDArray[np.float32], slices: SliceImages, chosen: npt.NDArray[np.bool_]) -> Probabilities:
    """(N,) 0..1, above 0.5 where the nearest picture of another cluster is a normal one; ``images`` are those ``chosen``."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    distance = cdist(flat, flat)
    clusters, normal = slices.clusters[chosen], slices.labels[chosen] == NORMAL
    distance[clusters[:, None] == clusters[None]] = np.inf
    to_normal, to_other = distance[:, normal].min(axis=1), distance[:, ~normal].min(axis=1)
    whole = to_normal + to_other
    return np.asarray(np.where(whole > 0, to_other / np.maximum(whole, 1e-12), 0.5))


def normal_auc(score: Probabilities, slices: SliceImages, chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
    """AUC of (N,) scores for normal against the carcinomas; and the shares of both that have a score above 0.5."""
    normal = slices.labels[chosen] == NORMAL
    groups = np.array([str(cluster) for cluster in slices.clusters[chosen]])
    both = np.stack([1 - score, score], 1)
    answers = ClassifierAnswers(("carcinoma", "normal"), np.array([True, False]), both, normal.astype(np.int64), groups, 0)
    area, low, high = bootstrap_metrics(answers).get("malignancy_auc", (float("nan"),) * 3)
    return {
        "auc": area,
        "auc_low": low,
        "auc_high": high,
        "normal_called_normal": round(float((score[normal] > 0.5).mean()), 4),
        "carcinoma_called_normal": round(float((score[~normal] > 0.5).mean()), 4),
        "n": int(chosen.sum()),
    }
