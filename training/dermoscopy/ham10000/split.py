"""Five folds of HAM10000 by lesion, with the same mixture of classes in each, chosen by hash; and lesions set aside from all folds."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from training.dermoscopy.ham10000.data import HamImage

FOLDS = 5


def folds(rows: Sequence[HamImage]) -> dict[str, int]:
    """Fold 0..4 of every lesion.

    The lesions of a class are sorted by their hash and distributed in turn. The folds therefore depend neither on the order of ``rows``
    nor on a seed, and no lesion is in two of them.
    """
    by_class: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        by_class[row.dx].add(row.lesion_id)
    found: dict[str, int] = {}
    for lesions in by_class.values():
        ordered = sorted(lesions, key=lambda lesion: hashlib.sha256(f"fold:{lesion}".encode()).digest())
        found |= {lesion: place % FOLDS for place, lesion in enumerate(ordered)}
    return found


def set_aside(rows: Sequence[HamImage]) -> frozenset[str]:
    """Half of fold 0's lesions. No network is trained on them, so that the ensemble of all folds can be measured on them."""
    return frozenset(lesion for lesion in held_out(rows, 0) if hashlib.sha256(f"half:{lesion}".encode()).digest()[0] % 2 == 0)


def unseen(rows: Sequence[HamImage], training: Mapping[str, Any]) -> frozenset[str]:
    """Lesions that no network of a card with the table ``training`` was trained on: those of its ``fold``, or those set aside from all."""
    return set_aside(rows) if "folds" in training else held_out(rows, int(training["fold"]))


def held_out(rows: Sequence[HamImage], fold: int) -> frozenset[str]:
    """The lesions of ``fold``: a fifth of every class. Raises ValueError for another number."""
    if not 0 <= fold < FOLDS:
        raise ValueError(f"a fold is 0..{FOLDS - 1}, not {fold}")
    return frozenset(lesion for lesion, place in folds(rows).items() if place == fold)
