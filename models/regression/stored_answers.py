"""The answers of a classifier for the images that its training held out, stored beside its weights: the input of the regression gate.

``held_out.safetensors`` holds probabilities and labels. Images and groups are named by hashes, so that the file holds no identifier.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from core.errors import ModelError

FILE = "held_out.safetensors"


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
    texts = {
        "names": answers.names,
        "images": answers.images,
        "groups": answers.groups,
        "attributes": {key: list(values) for key, values in answers.attributes.items()},
    }
    path = folder / FILE
    probabilities = np.ascontiguousarray(answers.probabilities, np.float32)
    arrays: dict[str, NDArray[Any]] = {"probabilities": probabilities, "labels": answers.labels.astype(np.int64)}
    save_file(arrays, path, metadata={key: json.dumps(value) for key, value in texts.items()})
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
        with safe_open(path, "numpy") as file:
            texts = {key: json.loads(value) for key, value in file.metadata().items()}
            answers = StoredAnswers(
                names=tuple(texts["names"]),
                probabilities=file.get_tensor("probabilities"),
                labels=file.get_tensor("labels"),
                images=tuple(texts["images"]),
                groups=tuple(texts["groups"]),
                attributes={key: tuple(values) for key, values in texts["attributes"].items()},
            )
    except (SafetensorError, OSError, KeyError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read: {type(error).__name__}", hint="evaluate the model again") from error
    rows = {len(answers.images), len(answers.groups), len(answers.labels), *map(len, answers.attributes.values())}
    if rows != {len(answers.labels)} or answers.probabilities.shape != (len(answers.labels), len(answers.names)):
        raise ModelError(f"{path} has tables of different lengths", hint="evaluate the model again")
    return answers
