"""What a training is made of, and the rate and the side of the images at every step."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """Written into the checkpoint and the card. ``steps`` and all that counts steps are steps of one process."""

    steps: int
    fold: int = 0
    seed: int = 31
    processes: int = 2
    batch: int = 32  # of one process
    learning_rate: float = 5e-4
    head_rate: float = 4.0  # the new layers learn so much faster than the pretrained ones
    warm_up: float = 0.05  # share of the steps
    weight_decay: float = 0.02
    first_px: int = 128
    last_px: int = 160
    last_share: float = 0.4  # of the steps are at ``last_px``
    frozen_stages: int = 2  # of the trunk, with the stem, keep their ImageNet weights: early filters transfer, and cost most of the time
    dropout: float = 0.25
    drop_path: float = 0.1
    label_smoothing: float = 0.05
    sampling_power: float = 0.5
    mixing: float = 0.3  # chance of a batch to be blended or pasted
    forgetting: float = 0.4  # chance of a patient to be unknown
    exchange_every: int = 8  # steps between two averages of the processes' weights
    ema_decay: float = 0.97  # at every exchange
    pretrained: bool = True  # False: the control from random weights, with nothing frozen


def rate(step: int, recipe: Recipe) -> float:
    """Learning rate: a linear warm-up, then half a cosine down to 1 % of the peak at the last step."""
    warm = max(1, round(recipe.steps * recipe.warm_up))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    part = min(1.0, (step - warm) / max(1, recipe.steps - warm))
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


def side_px(step: int, recipe: Recipe) -> int:
    """Small images first, which are learned from faster; then the side that is served."""
    return recipe.last_px if step >= recipe.steps * (1 - recipe.last_share) else recipe.first_px
