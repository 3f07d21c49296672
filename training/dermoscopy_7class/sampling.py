"""How often an image is drawn, and the share of every class among the draws, archive by archive.

The archives differ in compression, resolution and mixture of classes, so a network could learn "this archive, hence melanoma".
The loss therefore adds to the logits the logarithm of the class's share *in the archive of the image* (Menon et al., Long-tail learning
via logit adjustment, 2021, applied per archive): what the archive says of the class is given, and nothing is gained by recognising it.
The network's bare logits weigh all classes alike.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from models.dermoscopy.data import CLASSES
from training.dermoscopy_7class.archives import ARCHIVES, Part
from training.dermoscopy_7class.images import Images

ABSENT = -1e4  # logarithm of the share of a class that the archive has not: its logit cannot win, and gets no gradient


@dataclass(frozen=True, slots=True)
class Sampling:
    """``index`` (M,) of the learned images, ``chance`` (M,) of each to be drawn, ``log_prior`` (archives, classes) float32."""

    index: np.ndarray
    chance: np.ndarray
    log_prior: torch.Tensor


def sampling(images: Images, power: float) -> Sampling:
    """A class is drawn as often as its count among the learned images to ``power``: 1 as it comes, 0 all classes alike."""
    index = images.of(Part.LEARNED)
    labels, archive = images.labels[index], images.archive[index]
    counts = np.bincount(labels, minlength=len(CLASSES)).astype(np.float64)
    chance = np.maximum(counts, 1.0)[labels] ** (power - 1.0)
    chance /= chance.sum()
    drawn = np.zeros((len(ARCHIVES), len(CLASSES)))
    np.add.at(drawn, (archive, labels), chance)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_prior = np.log(drawn / drawn.sum(axis=1, keepdims=True))
    log_prior = np.where(np.isfinite(log_prior), log_prior, ABSENT)
    return Sampling(index, chance, torch.from_numpy(log_prior).float())


def adjusted_loss(logits: torch.Tensor, labels: torch.Tensor, log_prior: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Mean cross-entropy of (B, C) logits against (B,) labels, with ``log_prior`` (B, C) of each image's archive added.

    ``smoothing`` of the label is shared among the classes that the archive has, not among those that it cannot show.
    """
    said = F.log_softmax(logits.float() + log_prior, dim=1)
    there = (log_prior > ABSENT / 2).float()
    exact = F.one_hot(labels, logits.shape[1]).float()
    wanted = (1 - smoothing) * exact + smoothing * there / there.sum(1, keepdim=True)
    return -(wanted * said).sum(1).mean()
