"""What a network said of images that its training held out: one row per image, kept beside the weights, so that folds can be pooled."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from models.calibration import softmax
from models.dermoscopy.model import Looked, Model
from models.dermoscopy.quality import poor, quality
from training.dermoscopy.data import LesionImages, Row
from training.dermoscopy.metrics import dice
from training.dermoscopy.skin_tone import typology_angle

FILE = "held_out.npz"


@dataclass(frozen=True, slots=True)
class Held:
    """N images.

    ``images`` (N,) their names; ``logits`` and ``bare`` (N, C) with and without what is known of the patient; ``temperature`` (N,) what
    the logits are divided by; ``dice`` (N,) overlap of the outline; ``angle`` (N,) of the skin, degrees; ``refused`` (N,) bool.
    """

    images: np.ndarray
    logits: np.ndarray
    bare: np.ndarray
    temperature: np.ndarray
    dice: np.ndarray
    angle: np.ndarray
    refused: np.ndarray

    def probabilities(self, logits: np.ndarray | None = None) -> np.ndarray:
        """(N, C) float64, calibrated; of ``bare`` where they are given."""
        return softmax((self.logits if logits is None else logits).astype(np.float64) / self.temperature[:, None])

    def of(self, rows: Sequence[Row]) -> list[Row]:
        """The line of the index of every image."""
        known = {row.image_id: row for row in rows}
        return [known[name] for name in self.images.tolist()]


def hold(model: Model, looked: Looked, images: LesionImages, chosen: np.ndarray) -> Held:
    """The table of the images ``chosen``, which ``looked`` is of; temperature and limits are those of the model's card."""
    limits = model.card.thresholds
    strange = looked.distance > limits["max_distance"]
    bad = np.array([bool(poor(quality(images.pixels[i, 0]), limits)) for i in chosen])
    return Held(
        images=np.array([images.rows[i].image_id for i in chosen]),
        logits=looked.logits,
        bare=model.look(images.pixels[chosen, 0], np.zeros_like(images.patients[chosen])).logits,
        temperature=np.full(len(chosen), model.card.temperature),
        dice=dice(looked.outline > 0, images.masks[chosen]),
        angle=np.array([typology_angle(images.pixels[i, 0], images.masks[i]) for i in chosen]),
        refused=strange | bad,
    )


def write(held: Held, folder: Path) -> Path:
    """Into ``folder``; nothing is pickled."""
    path = folder / FILE
    np.savez_compressed(path, **{field.name: getattr(held, field.name) for field in fields(held)})
    return path


def read(path: Path) -> Held:
    with np.load(path, allow_pickle=False) as stored:
        return Held(**{field.name: stored[field.name] for field in fields(Held)})


def pooled(parts: Sequence[Held]) -> Held:
    """All rows of ``parts`` in their order."""
    return Held(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Held)))


def chosen(held: Held, which: np.ndarray) -> Held:
    """The rows ``which``, (N,) bool."""
    return Held(*(getattr(held, field.name)[which] for field in fields(Held)))


def scaled(held: Held, temperature: float) -> Held:
    """The same with another temperature."""
    return replace(held, temperature=np.full(len(held.images), temperature))
