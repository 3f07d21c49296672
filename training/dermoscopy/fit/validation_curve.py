"""Loss and accuracy on held-out lesions during the training, for the curve only: no epoch is chosen by it."""

import numpy as np
import torch
import torch.nn.functional as F

from models.dermoscopy.network import LesionNet
from models.dermoscopy.preprocess import resize_square
from training.dermoscopy.ham10000.data import CLASSES, LesionImages
from training.precision import mixed_precision

EVERY = 5  # epochs
BATCH = 64


@torch.inference_mode()
def validation_figures(net: LesionNet, images: LesionImages, side: int) -> dict[str, float]:
    """Loss and balanced accuracy on the first image of every held-out lesion, classes weighted alike; empty where there is none."""
    first = {images.rows[i].lesion_id: int(i) for i in np.flatnonzero(images.validation)[::-1]}
    chosen = sorted(first.values())
    if not chosen:
        return {}
    net.eval()
    parts = []
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH]
        squares = np.stack([resize_square(images.pixels[i, 0], side) for i in part])
        facts = torch.from_numpy(images.patients[part])
        with mixed_precision():
            parts.append(net(torch.from_numpy(squares).permute(0, 3, 1, 2), facts).float())
    logits, labels = torch.cat(parts), torch.from_numpy(images.labels[chosen])
    losses, right = F.cross_entropy(logits, labels, reduction="none"), (logits.argmax(1) == labels).float()
    classes = [labels == c for c in range(len(CLASSES)) if bool((labels == c).any())]
    found = {"held_out_loss": losses, "held_out_balanced_accuracy": right}
    return {name: round(float(np.mean([float(values[one].mean()) for one in classes])), 4) for name, values in found.items()}
