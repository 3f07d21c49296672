"""Measures balanced accuracy and melanoma AUC of a model where camera, skin or file differ, on held-out images."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from models.classifier.calibration import softmax
from models.dermoscopy.model import DermoscopyClassifier
from models.dermoscopy.patient import FACTS
from training.classifier_metrics import auc, class_recalls, rounded
from training.dermoscopy.ham10000.data import CLASSES
from training.dermoscopy.transfer.appearance import gaussian_blur, recompress, shift_tone
from training.dermoscopy.transfer.artefacts import add_rulers, add_vignettes
from training.dermoscopy.views.hair_and_ink import overlay_hair_and_ink

Distortion = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
MELANOMA = CLASSES.index("mel")
BANK_PX = 256  # of the drawings of hairs and ink, at least the side of the images


def change_white_balance(images: torch.Tensor, generator: torch.Generator, *, gains: tuple[float, float, float]) -> torch.Tensor:
    """(B, 3, S, S) float 0..255 with the channels multiplied by ``gains``."""
    return (images * torch.tensor(gains).view(1, 3, 1, 1)).clamp(0, 255)


def at_pixels(images: torch.Tensor, generator: torch.Generator, *, side: int) -> torch.Tensor:
    """(B, 3, S, S) as if the photographs had ``side`` pixels."""
    small = F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)


DISTORTIONS: Mapping[str, Distortion] = {
    "none": lambda images, generator: images,
    "hairs": partial(overlay_hair_and_ink, hair=1.0, ink=0.0, bank_px=BANK_PX),
    "ink": partial(overlay_hair_and_ink, hair=0.0, ink=1.0, bank_px=BANK_PX),
    "ruler": partial(add_rulers, share=1.0),
    "vignette": partial(add_vignettes, share=1.0),
    "blur, 0.5 to 1.8 px": partial(gaussian_blur, share=1.0),
    "JPEG quality 25 to 95": partial(recompress, share=1.0),
    "warm light": partial(change_white_balance, gains=(1.12, 1.0, 0.88)),
    "cold light": partial(change_white_balance, gains=(0.88, 1.0, 1.12)),
    "skin tone and hue": partial(shift_tone, share=1.0),
    "100 px": partial(at_pixels, side=100),
}


def measure_robustness(
    model: DermoscopyClassifier, squares: np.ndarray, labels: np.ndarray, *, progress: Callable[[str], None] = print
) -> dict[str, dict[str, float]]:
    """For every distortion the figures of ``squares`` (N, S, S, 3) uint8 with (N,) ``labels``, without facts of the patient.

    ``balanced_accuracy`` and ``macro_auc`` over the classes that occur; ``melanoma_auc``; ``n``.
    """
    images = torch.from_numpy(squares.copy()).permute(0, 3, 1, 2).float()
    facts = np.zeros((len(labels), FACTS), np.float32)
    present = np.unique(labels)
    found = {}
    for name, distort in DISTORTIONS.items():
        changed = distort(images.clone(), torch.Generator().manual_seed(1)).round().clamp(0, 255).to(torch.uint8)
        p = softmax(model.run_networks(changed.permute(0, 2, 3, 1).contiguous().numpy(), facts).logits, model.card.temperature)
        found[name] = {
            "balanced_accuracy": rounded(np.nanmean(class_recalls(p.argmax(1), labels, len(CLASSES)))),
            "macro_auc": rounded(np.mean([auc(p[:, c], labels == c) for c in present])),
            "melanoma_auc": rounded(auc(p[:, MELANOMA], labels == MELANOMA)),
            "n": len(labels),
        }
        progress(f"{name}: {found[name]}")
    return found
