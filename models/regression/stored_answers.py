"""The answers of a classifier for the images that its training held out, stored beside its weights: the input of the regression gate.

``held_out.npz`` holds probabilities and labels. Images and groups are named by hashes, so that the file holds no identifier.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelError
from models.regression import FILE

PREFIX = "attribute "


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """Answers for N images.

    Attributes
    ----------
    names
        C labels, in the order of the columns.
    probabilities
        (N, C) float32, calibrated.
    labels
        (N,) int64, index of the true column.
    images, groups
        (N,) hash of each image, and of the group (lesion, patient) that it belongs to.
    attributes
        Attributes of the patient or the image, such as "sex", each with (N,) texts; "" where unknown.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    images: tuple[str, ...]
    groups: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]


def hashed(identifier: str) -> str:
    """Sixteen hex digits of an identifier's SHA-256."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:16]


def save_answers(answers: StoredAnswers, folder: Path) -> Path:
    """Write the file into a model's folder; return its path."""
    path = folder / FILE
    arrays: dict[str, Any] = {PREFIX + key: np.array(values) for key, values in answers.attributes.items()}
    arrays |= {name: np.array(getattr(answers, name)) for name in ("names", "probabilities", "labels", "images", "groups")}
    np.savez_compressed(path, **arrays)
    path.chmod(0o644)
    return path


def read_answers(folder: Path) -> StoredAnswers | None:
    """The answers in a model's folder; None where there are none.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            texts = {key: tuple(map(str, stored[key])) for key in stored.files if key not in ("probabilities", "labels")}
            answers = StoredAnswers(
                names=texts["names"],
                probabilities=stored["probabilities"],
                labels=stored["labels"],
                images=texts["images"],
                groups=texts["groups"],
                attributes={key.removeprefix(PREFIX): values for key, values in texts.items() if key.startswith(PREFIX)},
            )
    except (OSError, KeyError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise ModelError(f"{path} cannot be read: {type(error).__name__}", hint="evaluate the model again") from error
    rows = {len(answers.images), len(answers.groups), *map(len, answers.attributes.values())}
    if rows != {len(answers.labels)} or answers.probabilities.shape != (len(answers.labels), len(answers.names)):
        raise ModelError(f"{path} has tables of different lengths", hint="evaluate the model again")
    return answers
