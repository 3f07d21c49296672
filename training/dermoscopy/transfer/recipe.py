"""The hyperparameters of the transfer learning, and the learning rate of every step."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TransferRecipe:
    """Written into the checkpoint and the card, so its field names are the card's keys."""

    steps: int
    seed: int = 51
    batch: int = 32
    learning_rate: float = 4e-4
    head_rate: float = 2.0  # the new layers learn at this multiple of the rate of the pretrained ones
    warm_up: float = 0.03  # share of the steps
    weight_decay: float = 0.02
    input_px: int = 192
    small_px: int = 128  # side of the images of the first ``small_steps`` steps: they cost half as much
    small_steps: int = 0
    leave_out: str = ""  # digits: folds of HAM10000 that are not trained on
    frozen_stages: int = 2  # of the trunk, with the stem, keep their ImageNet weights: they cost a third of the time
    dropout: float = 0.2
    drop_path: float = 0.05
    label_smoothing: float = 0.05
    sampling_power: float = 0.5
    mixing: float = 0.1  # probability that a batch is mixed
    forgetting: float = 0.6  # probability that all facts of a patient are dropped
    average_every: int = 4  # steps between two updates of the running average of the weights
    ema_decay: float = 0.98  # of the running average at every update
    pretrained: bool = True  # False: the control from random weights, with nothing frozen

    def side(self, step: int) -> int:
        """Pixels of the images of ``step`` (M. Tan, Q. Le, EfficientNetV2, 2021, arXiv 2104.00298, section 4.2: small ones first)."""
        return self.small_px if step < self.small_steps else self.input_px


def transfer_rate(step: int, recipe: TransferRecipe) -> float:
    """Learning rate: a linear warm-up, then half a cosine down to 1 % of the peak at the last step."""
    warm = max(1, round(recipe.steps * recipe.warm_up))
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    part = min(1.0, (step - warm) / max(1, recipe.steps - warm))
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))
