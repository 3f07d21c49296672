"""Makes the stored answers of classifiers of any skill for the same images."""

import numpy as np

from models.regression.stored_answers import StoredAnswers, hashed

NAMES = ("mel", "nv", "bkl")


def made_answers(skill: float, *, count: int = 400, offset: int = 0, seed: int = 1) -> StoredAnswers:
    """Answers of a classifier that knows more with more ``skill``; the same images and labels at every skill."""
    labels = np.random.default_rng(9).integers(0, 3, count)
    logits = np.random.default_rng(seed).normal(0, 1, (count, 3))
    logits[np.arange(count), labels] += skill
    values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return StoredAnswers(
        NAMES, values.astype(np.float32), labels.astype(np.int64), tuple(hashed(str(n + offset)) for n in range(count)),
        tuple(hashed(f"lesion {n // 2}") for n in range(count)), {"sex": tuple("MF"[n % 2] if n > 9 else "" for n in range(count))},
    )  # fmt: skip
