"""Which images are drawn how often, and the learning rate of every step."""

import math

import numpy as np

from training.dermoscopy.fit.recipe import StageRecipe
from training.dermoscopy.ham10000.data import CLASSES, LesionImages


def sampling(images: LesionImages, power: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the training images, the probability of each to be drawn, and the share (7,) of each class among the draws.

    Within every class the two archives are drawn in the same proportion, so that the archive tells nothing about the class and cannot
    become a shortcut.
    """
    index = images.training
    labels, coarse = images.labels[index], images.coarse[index]
    counts = np.bincount(labels, minlength=len(CLASSES)).astype(np.float64)
    prior = np.where(counts > 0, counts**power, 0.0)
    prior /= prior.sum()
    coarse_share = coarse.mean()
    chance = np.zeros(len(index))
    for c in range(len(CLASSES)):
        for flag in (False, True):
            chosen = (labels == c) & (coarse == flag)
            if chosen.any():
                chance[chosen] = prior[c] * (coarse_share if flag else 1 - coarse_share) / chosen.sum()
    return index, chance / chance.sum(), prior


def learning_rate(step: int, per_epoch: int, recipe: StageRecipe) -> float:
    """A short linear warm-up, ``hold_epochs`` at the peak, then half a cosine down to 1 % of the peak."""
    steps = per_epoch * recipe.epochs
    warm = max(1, steps // 20) if recipe.hold_epochs == 0 else per_epoch
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    fall = max(warm, recipe.hold_epochs * per_epoch)
    part = max(0.0, (step - fall) / max(1, steps - fall))
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))
