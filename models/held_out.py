"""What a shipped classifier says of the images that its training held out, through the very path that serves.

``predict`` is asked, not the network: abstention, calibration and whatever the header gives are part of what is measured.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import ModelError
from core.records import Prediction
from imaging.photograph import Photograph
from models.intervals import Answers
from models.runtime import Model

BATCH = 64
SEX = {"male": "M", "female": "F"}


@dataclass(frozen=True, slots=True)
class Case:
    """One image with its truth."""

    photograph: Photograph
    label: str
    group: str


def ham10000(data: Path, seed: int, limit_per_class: int | None = None) -> Iterator[list[Case]]:
    """The held-out images of HAM10000 in batches; ``limit_per_class`` takes the first of every class only."""
    from models.dermoscopy.data import first_of_each, read_index, read_jpegs, validation_lesions

    rows = read_index(data)
    held = validation_lesions(rows, seed)
    chosen = tuple(row for row in rows if row.lesion_id in held)
    chosen = chosen if limit_per_class is None else first_of_each(chosen, limit_per_class)
    with (data / "dermoscopy" / "index.csv").open(newline="") as lines:
        header = {line["image_id"]: line for line in csv.DictReader(lines)}
    jpegs = read_jpegs(data, chosen)
    for start in range(0, len(chosen), BATCH):
        batch = []
        for row in chosen[start : start + BATCH]:
            rgb = np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB"))
            known = header[row.image_id]
            age = float(known["age"]) if known.get("age") else None
            site = known.get("localization") or ""
            photograph = Photograph(rgb, row.image_id, age, SEX.get(known.get("sex") or "", ""), site, None, ())
            batch.append(Case(photograph, row.dx, row.lesion_id))
        yield batch


SETS = {"dermoscopy_7class": ham10000}


def answers(
    model: Model,
    data: Path,
    *,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
    seen: Callable[[Photograph, Prediction], None] = lambda item, prediction: None,
) -> Answers | None:
    """The model's answers on its held-out images; None for a model whose held-out images nothing here knows.

    ``seen`` is told each image with its answer.

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
    for batch in SETS[card.name](data, int(card.training["seed"]), limit_per_class):
        for case, prediction in zip(batch, model.predict([case.photograph for case in batch]), strict=True):
            seen(case.photograph, prediction)
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
