"""The networks and recipes of the two stages. A recipe is written into the card, so its field names are the card's keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.dermoscopy.patient import FACTS

TRUNK = {"kind": "monai.networks.nets.ResNet", "widths": [32, 64, 128, 192], "layers": [2, 2, 2, 1], "dropout": 0.2}
STAGES: Mapping[str, Mapping[str, Any]] = {
    "first": {**TRUNK, "input_px": 128},
    "second": {**TRUNK, "input_px": 150, "facts": FACTS, "outline": 32, "familiar": True},
}
# Only the network of the last stage is kept: averaged with the first stage's it was worse on held-out lesions, in every metric.
NETWORK = {"answer": "mean of the members' logits", "members": {"second": STAGES["second"]}}
SEED = 20
FIRST_SHARE = 0.4  # share of the first stage's epochs that is run: the second stage starts at the learning rate where it stops


@dataclass(frozen=True, slots=True)
class StageRecipe:
    """The hyperparameters of one stage.

    The learning rate stays at its peak for ``hold_epochs`` and then falls by a cosine. ``sampling_power``: a class is drawn as often as
    its count to this power. ``outline``: weight of the mask's loss. ``mixing``: probability that a batch is mixed. ``forgetting``:
    probability that all facts of a patient are dropped. ``weighted``: the loss of a class is weighted by the inverse of its share of the
    draws, instead of adding the share to the logits.
    """

    seed: int
    epochs: int
    input_px: int
    crop_px: int
    learning_rate: float
    hold_epochs: int = 0
    batch: int = 64
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    sampling_power: float = 0.5
    ema_decay: float = 0.998
    white_balance: float = 0.06
    outline: float = 0.0
    mixing: float = 0.0
    forgetting: float = 0.0
    weighted: bool = False


def first_stage(seed: int = SEED, epochs: int = 75) -> StageRecipe:
    """From random weights, images alone, at 128 pixels; ``FIRST_SHARE`` of it is run."""
    return StageRecipe(seed, epochs, input_px=128, crop_px=112, learning_rate=2e-3)


def second_stage(seed: int = SEED, epochs: int = 48) -> StageRecipe:
    """From the first stage's weights at 150 pixels, with mixed images, the outline and the patient's facts."""
    return StageRecipe(
        *(seed + 1, epochs),
        input_px=150,
        crop_px=128,
        learning_rate=1e-3,
        hold_epochs=epochs // 2,
        white_balance=0.1,
        outline=0.3,
        mixing=0.6,
        forgetting=0.3,
    )
