"""The loss of one batch: classes with the sampling prior, and the lesion's outline in the second stage."""

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses.dice import DiceCELoss

from models.dermoscopy.network import LesionNet
from models.dermoscopy.preprocess import resize_square
from training.dermoscopy.fit.recipe import StageRecipe
from training.dermoscopy.ham10000.data import LesionImages
from training.dermoscopy.views.augment import augment, augment_with_masks
from training.dermoscopy.views.mixup import drop_facts, mix
from training.precision import mixed_precision


def batch_loss(
    net: LesionNet,
    images: LesionImages,
    chosen: np.ndarray,
    recipe: StageRecipe,
    log_prior: torch.Tensor,
    draws: np.random.Generator,
    generator: torch.Generator,
) -> torch.Tensor:
    """The loss of random views of the images ``chosen``; ``log_prior`` (7,) of the share of each class among the draws.

    The prior is added in the loss and not in the network, so that the network's logits are without a prior
    (Menon et al., Long-tail learning via logit adjustment, 2021). Convolutions run in bfloat16 where the
    processor has it (``training.precision``).
    """
    variant = draws.integers(0, 2, recipe.batch)
    squares = np.stack([resize_square(images.pixels[i, v], recipe.input_px) for i, v in zip(chosen, variant, strict=True)])
    batch = torch.from_numpy(squares).permute(0, 3, 1, 2).float()
    labels = torch.from_numpy(images.labels[chosen])

    def class_loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        if recipe.weighted:
            weight = torch.exp(-log_prior) / len(log_prior)
            return F.cross_entropy(logits.float(), wanted, weight, label_smoothing=recipe.label_smoothing)
        return F.cross_entropy(logits.float() + log_prior, wanted, label_smoothing=recipe.label_smoothing)

    if not recipe.outline:
        views = augment(batch, recipe.crop_px, generator, recipe.white_balance)
        with mixed_precision():
            logits = net(views)
        return class_loss(logits, labels)
    masks = torch.from_numpy(images.masks[chosen])
    facts = drop_facts(torch.from_numpy(images.patients[chosen]), draws, recipe.forgetting)
    views, masks = augment_with_masks(batch, masks, recipe.crop_px, generator, recipe.white_balance)
    mixed = mix(views, masks, facts, draws, recipe.mixing)
    with mixed_precision():
        maps = net.maps(mixed.images)
        logits = net.classify(maps[-1], mixed.facts)
        outline = net.decode_outline(maps, recipe.crop_px)
    loss = mixed.share * class_loss(logits, labels) + (1 - mixed.share) * class_loss(logits, labels[mixed.other])
    return loss + recipe.outline * outline_loss(outline, mixed.masks)


def outline_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Sum of binary cross-entropy and Dice (MONAI), (B, Y, X) logits against (B, Y, X) in 0..1."""
    loss: torch.Tensor = DiceCELoss(sigmoid=True)(logits[:, None], masks[:, None])
    return loss
