"""Five folds of HAM10000: by lesion, the same mixture of classes in each, chosen by hash; and what is set aside from all."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from training.dermoscopy.data import Row

FOLDS = 5


def folds(rows: Sequence[Row]) -> dict[str, int]:
    """Fold 0..4 of every lesion.

    The lesions of a class are put in the order of their hash and dealt out in turn. So neither the order of ``rows`` nor a
    seed matters, every training is measured on the same folds, and no lesion is in two of them.
    """
    by_class: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        by_class[row.dx].add(row.lesion_id)
    found: dict[str, int] = {}
    for lesions in by_class.values():
        ordered = sorted(lesions, key=lambda lesion: hashlib.sha256(f"fold:{lesion}".encode()).digest())
        found |= {lesion: place % FOLDS for place, lesion in enumerate(ordered)}
    return found


def set_aside(rows: Sequence[Row]) -> frozenset[str]:
    """Half of fold 0's lesions: no fold's network learns them, so that the networks of all folds can be measured together on them."""
    return frozenset(lesion for lesion in held_out(rows, 0) if hashlib.sha256(f"half:{lesion}".encode()).digest()[0] % 2 == 0)


def unseen(rows: Sequence[Row], training: Mapping[str, Any]) -> frozenset[str]:
    """The lesions that no network of a card with the table ``training`` has learned: its ``fold``; of ``folds`` what is set aside."""
    return set_aside(rows) if "folds" in training else held_out(rows, int(training["fold"]))


def held_out(rows: Sequence[Row], fold: int) -> frozenset[str]:
    """The lesions of ``fold``: a fifth of every class."""
    if not 0 <= fold < FOLDS:
        raise ValueError(f"a fold is 0..{FOLDS - 1}, not {fold}")
    return frozenset(lesion for lesion, place in folds(rows).items() if place == fold)
