"""Five folds of HAM10000: by lesion, the same mixture of classes in each, chosen by hash."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from models.dermoscopy.data import Row

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


def held_out(rows: Sequence[Row], fold: int) -> frozenset[str]:
    """The lesions of ``fold``: a fifth of every class."""
    if not 0 <= fold < FOLDS:
        raise ValueError(f"a fold is 0..{FOLDS - 1}, not {fold}")
    return frozenset(lesion for lesion, place in folds(rows).items() if place == fold)
