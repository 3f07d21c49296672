"""Reads the HAM10000 images that no network of a ``dermoscopy_7class`` card was trained on."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from imaging.photograph.read import Photograph
from models.runtime import Model
from training.dermoscopy.ham10000.data import first_of_each, read_index, read_jpegs
from training.dermoscopy.ham10000.split import unseen
from training.held_out import BATCH, Batches, HeldOutImage

GROUP = "lesions"


def batches(model: Model, data: Path, limit_per_class: int | None = None) -> Batches:
    """Yield the held-out images with their lesion as the group; ``limit_per_class`` keeps the first images of every class only."""
    rows = read_index(data)
    lesions = unseen(rows, model.card.training)
    chosen = tuple(row for row in rows if row.lesion_id in lesions)
    chosen = chosen if limit_per_class is None else first_of_each(chosen, limit_per_class)
    jpegs = read_jpegs(data, chosen)
    for start in range(0, len(chosen), BATCH):
        batch = []
        for row in chosen[start : start + BATCH]:
            rgb = np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB"))
            known = row.patient
            photograph = Photograph(rgb, row.image_id, known.age_years, known.sex, known.site, None, ())
            batch.append(HeldOutImage(photograph, row.dx, row.lesion_id))
        yield model, batch
