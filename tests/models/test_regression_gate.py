"""The regression gate: versions are compared on the held-out images that both have answered, and a worse one is refused."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from core.errors import ModelError
from models.regression import FILE
from models.regression.classifier_changes import balanced_accuracy, macro_auc
from models.regression.gate import compare_folders, require_not_worse
from models.regression.stored_answers import StoredAnswers, read_answers, save_answers
from tests.support.made_answers import made_answers


def folder(tmp_path: Path, name: str, given: StoredAnswers) -> Path:
    (tmp_path / name).mkdir()
    save_answers(given, tmp_path / name)
    return tmp_path / name


def test_the_metrics_are_those_of_scikit_learn() -> None:
    given = made_answers(1.0)
    coarse = np.round(given.probabilities, 1)  # with ties
    assert balanced_accuracy(coarse, given.labels) == pytest.approx(balanced_accuracy_score(given.labels, coarse.argmax(axis=1)))
    expected = [roc_auc_score(given.labels == c, coarse[:, c]) for c in range(3)]
    assert macro_auc(coarse, given.labels) == pytest.approx(np.mean(expected))


def test_a_worse_version_is_refused_with_the_figures(tmp_path: Path) -> None:
    good, bad = folder(tmp_path, "good", made_answers(1.5)), folder(tmp_path, "bad", made_answers(0.5))
    with pytest.raises(ModelError, match=r"skin 2 is worse than the active version on 400 held-out cases: balanced accuracy 0\.\d+ to"):
        require_not_worse(good, bad, "skin 2")
    require_not_worse(bad, good, "skin 1")
    require_not_worse(good, good, "skin 1")


def test_changes_are_given_over_all_and_by_subgroup(tmp_path: Path) -> None:
    changes = compare_folders(folder(tmp_path, "old", made_answers(1.0)), folder(tmp_path, "new", made_answers(1.5)))
    assert [(one.metric, one.subgroup, one.cases) for one in changes] == [
        ("balanced_accuracy", "", 400), ("macro_auc", "", 400), ("balanced_accuracy", "sex F", 195), ("macro_auc", "sex F", 195),
        ("balanced_accuracy", "sex M", 195), ("macro_auc", "sex M", 195),
    ]  # fmt: skip
    for one in changes:
        assert one.low <= one.difference <= one.high
        assert not one.is_worse


def test_versions_are_compared_on_common_images_only(tmp_path: Path) -> None:
    old = folder(tmp_path, "old", made_answers(1.5))
    assert compare_folders(old, folder(tmp_path, "other images", made_answers(0.1, offset=10_000))) == ()
    assert compare_folders(old, tmp_path / "nothing stored") == ()
    require_not_worse(old, tmp_path / "nothing stored", "an import without answers")


def test_answers_are_read_back_and_damage_is_named(tmp_path: Path) -> None:
    given = made_answers(1.0)
    place = folder(tmp_path, "a", given)
    found = read_answers(place)
    assert found is not None
    assert (found.names, found.images, found.groups, found.attributes) == (given.names, given.images, given.groups, given.attributes)
    np.testing.assert_array_equal(found.probabilities, given.probabilities)
    (place / FILE).write_bytes((place / FILE).read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        read_answers(place)
