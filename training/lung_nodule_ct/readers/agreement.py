"""Agreement of an estimate with the readers: kappa, balanced accuracy, rank correlation, AUC and calibration, with intervals by patient."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

DRAWS = 500
SUSPICIOUS, UNSUSPICIOUS = 3.5, 2.5  # limits of the mean rating 1..5; between them it says neither

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Statistic = Callable[[Ints], float]


def kappa(given: Ints, truth: Ints) -> float:
    """Cohen's kappa with linear weights of classes 0, 1, 2; 0 where both are constant."""
    table = np.zeros((3, 3))
    np.add.at(table, (truth, given), 1.0)
    weights = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    by_chance = float((weights * np.outer(table.sum(axis=1), table.sum(axis=0))).sum() / table.sum())
    return 1.0 - float((weights * table).sum()) / by_chance if by_chance > 0 else 0.0


def balanced(given: Ints, truth: Ints) -> float:
    """Mean recall of the classes that ``truth`` has."""
    return float(np.mean([(given[truth == one] == one).mean() for one in np.unique(truth)]))


def rank_correlation(given: Floats, truth: Floats) -> float:
    """Spearman's rho; 0 where one of both is constant."""
    if np.ptp(given) == 0 or np.ptp(truth) == 0:
        return 0.0
    return float(spearmanr(given, truth).statistic)


def auc_of_suspicious(given: Floats, mean_rating: Floats) -> float:
    """Area under the ROC curve of ratings above 3.5 against those below 2.5."""
    sure = (mean_rating > SUSPICIOUS) | (mean_rating < UNSUSPICIOUS)
    truth = mean_rating[sure] > SUSPICIOUS
    return float(roc_auc_score(truth, given[sure])) if truth.any() and not truth.all() else 0.5


def interval(patients: Sequence[str], statistic: Statistic, seed: int = 0) -> tuple[float, float]:
    """95 % interval of ``statistic`` (of indices) over patients drawn with replacement."""
    rng = np.random.default_rng(seed)
    own = {patient: np.flatnonzero(np.array(patients) == patient) for patient in sorted(set(patients))}
    names = list(own)
    draws = rng.integers(len(names), size=(DRAWS, len(names)))
    values = [statistic(np.concatenate([own[names[int(index)]] for index in draw])) for draw in draws]
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
