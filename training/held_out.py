"""What a shipped classifier says of the images that its training held out, through the very path that serves.

``predict`` is asked, not the network: abstention, calibration and whatever the header gives are part of what is measured.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import ModelError
from core.records import Prediction
from imaging.photograph.read import Photograph
from models.runtime import Model
from training.bootstrap import Answers

BATCH = 64


@dataclass(frozen=True, slots=True)
class Case:
    """One image with its truth."""

    photograph: Photograph
    label: str
    group: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How the held-out images of a model are found.

    ``batches`` (model, data, limit per class or None) gives cases with the model to ask of them; ``group`` names a group, in the plural.
    """

    batches: Callable[[Model, Path, int | None], Iterator[tuple[Model, list[Case]]]]
    group: str


def ham10000(model: Model, data: Path, limit_per_class: int | None = None) -> Iterator[tuple[Model, list[Case]]]:
    """The held-out images of HAM10000 in batches; ``limit_per_class`` takes the first of every class only."""
    from training.dermoscopy.data import first_of_each, read_index, read_jpegs
    from training.dermoscopy.split import unseen

    rows = read_index(data)
    held = unseen(rows, model.card.training)
    chosen = tuple(row for row in rows if row.lesion_id in held)
    chosen = chosen if limit_per_class is None else first_of_each(chosen, limit_per_class)
    jpegs = read_jpegs(data, chosen)
    for start in range(0, len(chosen), BATCH):
        batch = []
        for row in chosen[start : start + BATCH]:
            rgb = np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB"))
            known = row.patient
            photograph = Photograph(rgb, row.image_id, known.age_years, known.sex, known.site, None, ())
            batch.append(Case(photograph, row.dx, row.lesion_id))
        yield model, batch


def ct_slices(model: Model, data: Path, limit_per_class: int | None = None) -> Iterator[tuple[Model, list[Case]]]:
    """The screenshots fold by fold, each asked of the network that saw nothing of its cluster."""
    from models.lung_histology_ct.model import Model as SliceModel
    from training.lung_histology_ct.data import FOLDS, load

    assert isinstance(model, SliceModel)
    slices = load(data, model.card.thresholds, report=lambda _: None, limit_per_class=limit_per_class)
    for fold in range(FOLDS):
        chosen = np.flatnonzero(slices.folds == fold)
        batch = []
        for i in chosen:
            rgb = np.repeat(slices.grey[i][..., None], 3, axis=2)
            photograph = Photograph(rgb, slices.rows[i].file, None, "", "", None, ())
            batch.append(Case(photograph, slices.rows[i].label, str(slices.clusters[i])))
        if batch:
            yield model.alone(fold), batch


SETS = {"dermoscopy_7class": HeldOut(ham10000, "lesions"), "lung_histology_ct": HeldOut(ct_slices, "clusters of like chests")}


def answers(
    model: Model,
    data: Path,
    *,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
    seen: Callable[[Case, Prediction], None] = lambda case, prediction: None,
) -> Answers | None:
    """The model's answers on its held-out images; None for a model whose held-out images nothing here knows.

    ``seen`` is told each case with its answer. Probabilities count also where the model found them too undecided for an answer.

    Raises
    ------
    ModelError
        Data are missing, or no image was answered.
    """
    card = model.card
    if card.name not in SETS:
        return None
    names = tuple(label.name for label in card.labels)
    rows: list[list[float]] = []
    labels: list[int] = []
    groups: list[str] = []
    abstained = 0
    for asked, batch in SETS[card.name].batches(model, data, limit_per_class):
        for case, prediction in zip(batch, asked.predict([case.photograph for case in batch]), strict=True):
            seen(case, prediction)
            if not prediction.probabilities:
                abstained += 1
                continue
            rows.append([prediction.probabilities[name] for name in names])
            labels.append(names.index(case.label))
            groups.append(case.group)
        progress(f"{len(rows) + abstained} held-out images, {abstained} without an answer")
    if not rows:
        raise ModelError(f"{card.name} answered none of its held-out images", hint="look at the data folder")
    malignant = np.array([label.malignant for label in card.labels])
    return Answers(names, malignant, np.array(rows), np.array(labels), np.array(groups), abstained)
