"""Mixes the images of a batch (mixup, CutMix) and drops facts of the patients, both at random."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from models.dermoscopy.patient import AGE, SEX, SITE


@dataclass(frozen=True, slots=True)
class MixedBatch:
    """A batch whose images are made of two: ``share`` of the image itself, the rest of the image at index ``other`` (B,)."""

    images: torch.Tensor
    masks: torch.Tensor
    facts: torch.Tensor
    other: torch.Tensor
    share: float


def mix(images: torch.Tensor, masks: torch.Tensor, facts: torch.Tensor, draws: np.random.Generator, chance: float) -> MixedBatch:
    """With probability ``chance`` blend every image with another of the batch (mixup, Zhang 2018) or paste a box of it (CutMix, Yun 2019).

    Each in half of the cases; masks and the patient's facts are mixed alike.
    """
    count, side = len(images), images.shape[-1]
    dice, other = draws.random(), torch.from_numpy(draws.permutation(count))
    if dice >= chance:
        return MixedBatch(images, masks, facts, other, 1.0)
    if dice < chance / 2:
        share = float(draws.beta(0.4, 0.4))
        images = images * share + images[other] * (1 - share)
        masks = masks * share + masks[other] * (1 - share)
    else:
        half = math.sqrt(1 - draws.beta(1.0, 1.0)) * side / 2
        y, x = draws.uniform(0, side, 2)
        top, left = max(0, round(y - half)), max(0, round(x - half))
        box = (slice(top, min(side, round(y + half))), slice(left, min(side, round(x + half))))
        images, masks = images.clone(), masks.clone()
        images[:, :, box[0], box[1]] = images[other][:, :, box[0], box[1]]
        masks[:, box[0], box[1]] = masks[other][:, box[0], box[1]]
        share = 1 - (box[0].stop - box[0].start) * (box[1].stop - box[1].start) / side**2
    return MixedBatch(images, masks, facts * share + facts[other] * (1 - share), other, share)


def drop_facts(facts: torch.Tensor, draws: np.random.Generator, chance: float) -> torch.Tensor:
    """Drop all facts of a patient with probability ``chance``, and each of age, sex and site with half of it; any may be missing."""
    kept = facts.clone()
    whole = draws.random(len(facts)) < chance
    for columns in (AGE, SEX, SITE):
        dropped = whole | (draws.random(len(facts)) < chance / 2)
        kept[torch.from_numpy(dropped), columns] = 0.0
    return kept
