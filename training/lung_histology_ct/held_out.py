"""Reads the screenshots of ``lung_histology_ct`` fold by fold, each fold for the network that was trained without it."""

from pathlib import Path

import numpy as np

from imaging.photograph.read import Photograph
from models.lung_histology_ct.model import HistologyClassifier
from models.runtime import Model
from training.held_out import Batches, HeldOutImage
from training.lung_histology_ct.data import FOLDS, load_slices

GROUP = "clusters of like chests"


def batches(model: Model, data: Path, limit_per_class: int | None = None) -> Batches:
    """Yield the slices of each fold with their cluster as the group; ``limit_per_class`` keeps that many of every class."""
    assert isinstance(model, HistologyClassifier)
    slices = load_slices(data, model.card.thresholds, report=lambda _: None, limit_per_class=limit_per_class)
    for fold in range(FOLDS):
        batch = []
        for i in np.flatnonzero(slices.folds == fold):
            rgb = np.repeat(slices.grey[i][..., None], 3, axis=2)
            photograph = Photograph(rgb, slices.rows[i].file, None, "", "", None, ())
            batch.append(HeldOutImage(photograph, slices.rows[i].label, str(slices.clusters[i])))
        if batch:
            yield model.single_member(fold), batch
