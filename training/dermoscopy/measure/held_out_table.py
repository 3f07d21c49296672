"""The network's output for held-out images, one row per image, stored beside the weights so that folds can be pooled."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from models.classifier.calibration import softmax
from models.dermoscopy.acceptance import check_networks
from models.dermoscopy.ensemble import Squares
from models.dermoscopy.model import DermoscopyClassifier, EnsembleOutput
from models.dermoscopy.quality import check_quality, measure_quality
from training.dermoscopy.ham10000.data import HamImage, LesionImages
from training.dermoscopy.measure.skin_tone import typology_angle

FILE = "held_out.npz"


@dataclass(frozen=True, slots=True)
class HeldOutTable:
    """Columns for N images.

    ``images`` (N,) their names; ``logits`` and ``bare`` (N, C) with and without the patient's facts; ``temperature`` (N,) the divisor of
    the logits; ``dice`` (N,) overlap of the outline; ``angle`` (N,) typology angle of the skin in degrees; ``refused`` (N,) bool.
    """

    images: np.ndarray
    logits: np.ndarray
    bare: np.ndarray
    temperature: np.ndarray
    dice: np.ndarray
    angle: np.ndarray
    refused: np.ndarray

    def probabilities(self, logits: np.ndarray | None = None) -> np.ndarray:
        """(N, C) float64, calibrated; of ``bare`` where that is given."""
        return softmax((self.logits if logits is None else logits).astype(np.float64) / self.temperature[:, None])

    def rows_of(self, index: Sequence[HamImage]) -> list[HamImage]:
        """The line of the data set's index for every image."""
        known = {row.image_id: row for row in index}
        return [known[name] for name in self.images.tolist()]


def make_table(
    model: DermoscopyClassifier, output: EnsembleOutput, images: LesionImages, chosen: np.ndarray, squares: Squares | None = None
) -> HeldOutTable:
    """The table of the images ``chosen``, for which ``output`` was computed; temperature and limits are those of the model's card.

    ``squares``: what the networks see of them (default: the common grid).
    """
    limits = model.card.thresholds
    unlike = [bool(check_networks(float(far), drawn, limits)) for far, drawn in zip(output.distance, output.outline, strict=True)]
    poor = np.array([bool(check_quality(measure_quality(images.pixels[i, 0]), limits)) for i in chosen])
    return HeldOutTable(
        images=np.array([images.rows[i].image_id for i in chosen]),
        logits=output.logits,
        bare=model.run_networks(images.pixels[chosen, 0] if squares is None else squares, np.zeros_like(images.patients[chosen])).logits,
        temperature=np.full(len(chosen), model.card.temperature),
        dice=dice(output.outline > 0, images.masks[chosen]),
        angle=np.array([typology_angle(images.pixels[i, 0], images.masks[i]) for i in chosen]),
        refused=np.array(unlike, bool) | poor,
    )


def dice(drawn: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(N,) overlap of (N, Y, X) bool outlines, 1 where both are empty."""
    both, sizes = (drawn & truth).sum((1, 2)), drawn.sum((1, 2)) + truth.sum((1, 2))
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def write_table(table: HeldOutTable, folder: Path) -> Path:
    """Write the table into ``folder``; nothing is pickled."""
    path = folder / FILE
    np.savez_compressed(path, **{field.name: getattr(table, field.name) for field in fields(table)})
    return path


def read_table(path: Path) -> HeldOutTable:
    """The table in the file ``path``."""
    with np.load(path, allow_pickle=False) as stored:
        return HeldOutTable(**{field.name: stored[field.name] for field in fields(HeldOutTable)})


def pool(parts: Sequence[HeldOutTable]) -> HeldOutTable:
    """All rows of ``parts`` in their order."""
    return HeldOutTable(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(HeldOutTable)))


def select(table: HeldOutTable, which: np.ndarray) -> HeldOutTable:
    """The rows ``which``, (N,) bool or indices."""
    return HeldOutTable(*(getattr(table, field.name)[which] for field in fields(HeldOutTable)))


def with_temperature(table: HeldOutTable, temperature: float) -> HeldOutTable:
    """The same rows with another temperature."""
    return replace(table, temperature=np.full(len(table.images), temperature))
