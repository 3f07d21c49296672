"""Decides which updates of a round are averaged. No I/O; numpy only.

A site may send by mistake or on purpose what would spoil the weights of all. Refused are updates with other tensors than those that were
sent, with values that are no numbers, without any change, far longer than the median of the round (norm bounding: Sun et al., Can you
really backdoor federated learning?, 2019), and those that point against the others. This holds while fewer than half of the sites act
together: a median and a majority cannot tell more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Tensors = Mapping[str, npt.NDArray[np.float32]]

LONGEST = 3.0  # times the median length of the round
OPPOSED = -0.3  # cosine with the sum of the others
MOST_WEIGHT = 4.0  # times the median number of images: a site that claims more has no more weight
MOST_IMAGES = 10_000_000
VARIANCE = ".running_var"  # of a batch normalisation, whose root is taken


@dataclass(frozen=True, slots=True)
class SiteUpdate:
    """What one site returned: its weights after training, and the number of its images."""

    site: str
    tensors: Tensors
    images: float


def form_refusal(update: SiteUpdate, sent: Tensors) -> str:
    """Why an update cannot be averaged at all, or ""."""
    if set(update.tensors) != set(sent):
        missing, extra = sorted(set(sent) - set(update.tensors)), sorted(set(update.tensors) - set(sent))
        return f"other tensors than those that were sent: {len(missing)} are missing, {len(extra)} are unknown"
    for name, tensor in sent.items():
        value = np.asarray(update.tensors[name])
        if value.shape != tensor.shape or value.dtype.kind != "f":
            return f"{name} has shape {value.shape} and type {value.dtype}, {tensor.shape} and {tensor.dtype} were sent"
        with np.errstate(over="ignore"):  # of float64: beyond float32, in which the mean is sent
            finite = np.isfinite(value.astype(np.float32)).all()
        if not finite:
            return f"{name} holds values that are no numbers"
        if name.endswith(VARIANCE) and (value < 0).any():
            return f"{name} holds negative variances"
    if not (np.isfinite(update.images) and 1 <= update.images <= MOST_IMAGES):
        return f"a number of images between 1 and {MOST_IMAGES} is needed, not {update.images}"
    return ""


def refused_updates(updates: list[SiteUpdate], sent: Tensors) -> dict[str, str]:
    """Site -> why its update is not averaged. Length and direction are compared where at least three updates have the right form."""
    refused = {update.site: reason for update in updates if (reason := form_refusal(update, sent))}
    steps = {update.site: _flat(update.tensors, sent) for update in updates if update.site not in refused}
    lengths = {site: float(np.linalg.norm(step)) for site, step in steps.items()}
    refused |= {site: "the update changes nothing" for site, length in lengths.items() if length == 0}
    lengths = {site: length for site, length in lengths.items() if length > 0}
    if len(lengths) < 3:
        return refused
    median = float(np.median(list(lengths.values())))
    for site, length in lengths.items():
        if length > LONGEST * median:
            refused[site] = f"the update is {length / median:.1f} times as long as the median, {LONGEST:g} is the limit"
    return refused | _opposed({site: steps[site] / length for site, length in lengths.items() if site not in refused}, lengths)


def _opposed(directions: dict[str, npt.NDArray[np.float64]], lengths: Mapping[str, float]) -> dict[str, str]:
    """The updates that point against the others, of at least three ``directions`` (unit vectors).

    One after another, the most opposed first, and each compared with those that are left: with the opposed one in the sum, the others
    would be opposed too. Lengths do not count, so that a long update does not turn the sum; of two equally opposed ones the longer is it.
    """
    refused = {}
    while len(directions) >= 3:
        total = sum(directions.values(), np.zeros_like(next(iter(directions.values()))))
        cosines = {site: _cosine(one, total - one) for site, one in directions.items()}
        worst = min(sorted(cosines), key=lambda site: (round(cosines[site], 9), -lengths[site]))
        if cosines[worst] >= OPPOSED:
            break
        refused[worst] = f"the update points against those of the other sites (cosine {cosines[worst]:.2f})"
        del directions[worst]
    return refused


def _cosine(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / scale if scale > 1e-9 else 0.0  # where the others cancel out there is no direction


def average(updates: list[SiteUpdate]) -> dict[str, npt.NDArray[np.float32]]:
    """Mean of the tensors, weighted by the number of images (McMahan et al., FedAvg, 2017), in the order of the sites' names."""
    ordered = sorted(updates, key=lambda update: update.site)
    limit = MOST_WEIGHT * float(np.median([update.images for update in ordered]))
    weights = np.array([min(update.images, limit) for update in ordered], np.float64)
    weights /= weights.sum()
    return {name: _weighted_mean([update.tensors[name] for update in ordered], weights) for name in ordered[0].tensors}


def _weighted_mean(values: list[npt.NDArray[np.float32]], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.asarray(np.tensordot(weights, np.stack(values).astype(np.float64), axes=1), np.float32)


def _flat(tensors: Tensors, sent: Tensors) -> npt.NDArray[np.float64]:
    return np.concatenate([(tensors[name].astype(np.float64) - sent[name]).ravel() for name in sorted(sent)])
