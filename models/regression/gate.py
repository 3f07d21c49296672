"""Compares two versions of a model on what training held out, and refuses one that is worse."""

from pathlib import Path

from core.errors import ModelError
from models.regression.change import MetricChange
from models.regression.classifier_changes import compare_answers
from models.regression.detector_changes import compare_marks
from models.regression.stored_answers import read_answers
from models.regression.stored_marks import read_marks


def compare_folders(before: Path, after: Path) -> tuple[MetricChange, ...]:
    """The changes from the version in one folder to that in the other; empty where one has stored nothing, or too little in common.

    A classifier has stored its answers for images, a detector its marks in scans.
    """
    old_answers, new_answers = read_answers(before), read_answers(after)
    if old_answers is not None and new_answers is not None:
        return compare_answers(old_answers, new_answers)
    old_marks, new_marks = read_marks(before), read_marks(after)
    if old_marks is not None and new_marks is not None:
        return compare_marks(old_marks, new_marks)
    return ()


def require_not_worse(before: Path, after: Path, name: str) -> None:
    """Check that the version in ``after`` is not worse on all images. Subgroups are shown and decide nothing: they are small.

    Raises
    ------
    ModelError
        It is worse; the message has the figures.
    """
    worse = [one for one in compare_folders(before, after) if one.is_worse and not one.subgroup]
    if worse:
        said = "; ".join(f"{_words(one.metric)} {one.before:.3f} to {one.after:.3f} ({one.low:+.3f} to {one.high:+.3f})" for one in worse)
        raise ModelError(
            f"{name} is worse than the active version on {worse[0].cases} held-out cases: {said}",
            hint=f"see `models compare`, run it as a shadow, or use --even-if-worse; a loss up to {worse[0].tolerance} is tolerated",
        )


def _words(metric: str) -> str:
    return metric.replace("_", " ").replace("auc", "AUC")
