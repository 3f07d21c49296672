"""How often an image is drawn, and the loss with the share of every class among the draws, archive by archive.

The archives differ in compression, resolution and mixture of classes, so that a network could use the archive as a sign of a class. The
loss therefore adds to the logits the logarithm of the class's share *in the archive of the image* (Menon et al., Long-tail learning via
logit adjustment, 2021, applied per archive): recognising the archive then does not lower the loss. The logits have no prior.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from training.dermoscopy.ham10000.data import CLASSES
from training.dermoscopy.transfer.archives import ARCHIVES, DataPart
from training.dermoscopy.transfer.images import TransferImages

ABSENT = -1e4  # logarithm of the share of a class that the archive has not: its logit gets no gradient


@dataclass(frozen=True, slots=True)
class ArchiveSampling:
    """``index`` (M,) of the training images, ``chance`` (M,) of each to be drawn, ``log_prior`` (archives, classes) float32."""

    index: np.ndarray
    chance: np.ndarray
    log_prior: torch.Tensor


def sample_archives(images: TransferImages, power: float) -> ArchiveSampling:
    """A class is drawn as often as its count among the training images to ``power``: 1 as it occurs, 0 all classes alike."""
    index = images.of(DataPart.TRAINING)
    labels, archive = images.labels[index], images.archive[index]
    counts = np.bincount(labels, minlength=len(CLASSES)).astype(np.float64)
    chance = np.maximum(counts, 1.0)[labels] ** (power - 1.0)
    chance /= chance.sum()
    drawn = np.zeros((len(ARCHIVES), len(CLASSES)))
    np.add.at(drawn, (archive, labels), chance)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_prior = np.log(drawn / drawn.sum(axis=1, keepdims=True))
    log_prior = np.where(np.isfinite(log_prior), log_prior, ABSENT)
    return ArchiveSampling(index, chance, torch.from_numpy(log_prior).float())


def adjusted_loss(logits: torch.Tensor, labels: torch.Tensor, log_prior: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Mean cross-entropy of (B, C) logits against (B,) labels, with ``log_prior`` (B, C) of each image's archive added.

    ``smoothing`` of the label is shared among the classes that the archive has.
    """
    log_probability = F.log_softmax(logits.float() + log_prior, dim=1)
    present = (log_prior > ABSENT / 2).float()
    exact = F.one_hot(labels, logits.shape[1]).float()
    wanted = (1 - smoothing) * exact + smoothing * present / present.sum(1, keepdim=True)
    return -(wanted * log_probability).sum(1).mean()
