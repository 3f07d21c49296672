"""Decides which updates of a round are averaged. No I/O; numpy only.

A site may send by mistake or on purpose what would spoil the weights of all. Refused are updates with other tensors than those that were
sent, with values that are no numbers, far longer than the median of the round (norm bounding: Sun et al., Can you really backdoor
federated learning?, 2019), and those that point against the sum of all others.
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
    if not (np.isfinite(update.images) and 1 <= update.images <= MOST_IMAGES):
        return f"a number of images between 1 and {MOST_IMAGES} is needed, not {update.images}"
    return ""


def refused_updates(updates: list[SiteUpdate], sent: Tensors) -> dict[str, str]:
    """Site -> why its update is not averaged. Length and direction are compared where at least three updates have the right form."""
    refused = {update.site: reason for update in updates if (reason := form_refusal(update, sent))}
    steps = {update.site: _flat(update.tensors, sent) for update in updates if update.site not in refused}
    if len(steps) < 3:
        return refused
    lengths = {site: float(np.linalg.norm(step)) for site, step in steps.items()}
    limit = LONGEST * float(np.median(list(lengths.values())))
    for site, length in lengths.items():
        if length > limit:
            refused[site] = (
                f"the update is {length / max(limit / LONGEST, 1e-12):.1f} times as long as the median, {LONGEST:g} is the limit"
            )
    near = {site: step for site, step in steps.items() if site not in refused}
    total = sum(near.values(), np.zeros_like(next(iter(steps.values()))))
    for site, step in near.items():
        others = total - step
        scale = float(np.linalg.norm(step) * np.linalg.norm(others))
        if len(near) >= 3 and scale > 0 and float(step @ others) / scale < OPPOSED:
            refused[site] = f"the update points against those of all other sites (cosine {float(step @ others) / scale:.2f})"
    return refused


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
