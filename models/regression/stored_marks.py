"""The marks of a detector in the scans that its training held out, stored beside its weights: the input of the regression gate.

``held_out_marks.json`` names a scan by a hash of its name and its nodules, so that the file holds no identifier, and two versions are
compared on the same nodules only.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import ModelError
from models.regression import MARKS_FILE

Floats = npt.NDArray[np.float64]
NO_NODULE = -1


@dataclass(frozen=True, slots=True)
class PresentNodule:
    """A nodule that is there: put there, or ``marked`` by readers. ``kind`` (solid, ...) and ``place`` (pleural, ...): "" where unknown."""

    diameter_mm: float
    kind: str
    place: str
    marked: bool


@dataclass(frozen=True, slots=True)
class StoredMark:
    """A candidate of the detector: ``probability`` 0..1, index of the ``nodule`` that it finds, or -1; ``uncertain``: neither right nor
    wrong, because it is on a structure that may be a nodule without a mark of any reader."""

    probability: float
    nodule: int
    uncertain: bool


@dataclass(frozen=True, slots=True)
class StoredScan:
    """One scan with everything that is in it and everything that was marked.

    ``scan``: sixteen hex digits; ``volume``: the same of the volume alone, which several scans have with other nodules put into it; ""
    where each scan is a volume of its own.
    """

    scan: str
    nodules: tuple[PresentNodule, ...]
    marks: tuple[StoredMark, ...]
    volume: str = ""


@dataclass(frozen=True, slots=True)
class SortedMarks:
    """Highest probability on each nodule (0: missed), and the probabilities of false, of uncertain, and of further marks on a nodule."""

    found: Floats
    false: Floats
    uncertain: Floats
    double: Floats


def sort_marks(scans: Sequence[StoredScan]) -> SortedMarks:
    """The marks of all scans by what they are; ``found`` in the order of the scans and their nodules."""
    found: list[float] = []
    others: dict[str, list[float]] = {"false": [], "uncertain": [], "double": []}
    for scan in scans:
        best = [0.0] * len(scan.nodules)
        for mark in sorted(scan.marks, key=lambda one: one.probability, reverse=True):
            if mark.nodule == NO_NODULE:
                others["uncertain" if mark.uncertain else "false"].append(mark.probability)
            elif best[mark.nodule] > 0:
                others["double"].append(mark.probability)
            else:
                best[mark.nodule] = mark.probability
        found += best
    return SortedMarks(np.array(found), *(np.array(others[name]) for name in ("false", "uncertain", "double")))


def limit_at(false: Floats, allowed: float) -> float:
    """The probability that a nodule must exceed for at most ``allowed`` false marks."""
    ordered = np.sort(false)[::-1]
    return float(ordered[int(allowed)]) if len(ordered) > int(allowed) else 0.0


def save_marks(scans: Sequence[StoredScan], folder: Path) -> Path:
    """Write the file into a model's folder; return its path."""
    path = folder / MARKS_FILE
    path.write_text(json.dumps([asdict(scan) for scan in scans]) + "\n", encoding="utf-8")
    path.chmod(0o644)
    return path


def read_marks(folder: Path) -> tuple[StoredScan, ...] | None:
    """The marks in a model's folder; None where there are none.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    path = folder / MARKS_FILE
    if not path.is_file():
        return None
    try:
        scans = tuple(
            StoredScan(
                str(one["scan"]),
                tuple(PresentNodule(**nodule) for nodule in one["nodules"]),
                tuple(StoredMark(**mark) for mark in one["marks"]),
                str(one.get("volume", "")),
            )
            for one in json.loads(path.read_text(encoding="utf-8"))
        )
        unknown = any(not NO_NODULE <= mark.nodule < len(scan.nodules) for scan in scans for mark in scan.marks)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {type(error).__name__}", hint="evaluate the model again") from error
    if unknown:
        raise ModelError(f"{path} has a mark on a nodule that is not listed", hint="evaluate the model again")
    return scans
