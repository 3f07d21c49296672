"""From the classes of many parts of a unit, tiles of a slide or frames of a loop, to the classes of the unit."""

import numpy as np
import numpy.typing as npt

from models.card import ModelCard

Values = npt.NDArray[np.float64]


def part_scores(card: ModelCard, values: Values) -> Values:
    """(N,) by which parts are ranked, of (N, C) class values.

    With a softmax that has a class without finding ("normal"): the sum of the other classes. Else the largest of the classes that are
    findings.
    """
    findings = [index for index, label in enumerate(card.labels) if label.finding]
    if card.network["activation"] == "softmax" and 0 < len(findings) < len(card.labels):
        return np.asarray(values[:, findings].sum(axis=1))
    return np.asarray(values[:, findings or list(range(len(card.labels)))].max(axis=1))


def aggregate(card: ModelCard, values: Values) -> Values:
    """(C,): the mean over the ``top`` parts of highest score; over all parts where the card says 0. ``values``: (N, C), N at least 1."""
    top = int(card.preprocessing["top"])
    if 0 < top < len(values):
        values = values[np.argsort(-part_scores(card, values), kind="stable")[:top]]
    return np.asarray(values.mean(axis=0))


def aggregation_rule(top: int, part: str) -> str:
    """The rule in words. ``part``: what a part is, in the singular."""
    if top == 1:
        return f"those of the {part} of highest score"
    return f"the mean over the {top} {part}s of highest score" if top else f"the mean over all {part}s"


def best_part(values: Values, label: int) -> int:
    """The index of the part in which a class is highest."""
    return int(np.argmax(values[:, label]))
