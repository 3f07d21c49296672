"""The loop of gradient steps: seeded, one checkpoint per epoch, the average of the weights kept beside them."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from core.errors import ModelError
from models.dermoscopy import checkpoint
from models.dermoscopy.augment import augment
from models.dermoscopy.data import CLASSES, LesionImages
from models.dermoscopy.network import LesionNet, build, dihedral

NETWORK = {"kind": "monai.networks.nets.ResNet", "widths": [32, 64, 128, 192], "layers": [2, 2, 2, 1], "dropout": 0.2}
SEED, EPOCHS = 20, 75


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a training is made of; written into the card."""

    seed: int = SEED
    epochs: int = EPOCHS
    batch: int = 64
    crop_px: int = 112
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    sampling_power: float = 0.5  # a class is drawn as often as its count to this power
    ema_decay: float = 0.998


def sampling(images: LesionImages, power: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the training images, the chance of each to be drawn, and the share (7,) of each class among the draws.

    Within every class the two archives are drawn in the same proportion: which archive an image is from tells nothing
    about its class, and cannot become a shortcut.
    """
    index = np.flatnonzero(~images.validation)
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


def rate(step: int, steps: int, peak: float) -> float:
    """A short linear warm-up, then half a cosine down to 1 % of ``peak``."""
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def fit(images: LesionImages, out: Path, recipe: Recipe, *, resume: bool, progress: Callable[[str], None]) -> LesionNet:
    """Train, or go on from ``out``'s checkpoint, and return the averaged weights' network in eval mode.

    Every epoch has its own seeded generator: a resumed training draws what an uninterrupted one would have drawn.
    Autocast to bfloat16 doubles the speed on current CPUs.
    """
    torch.manual_seed(recipe.seed)
    net, ema = build(NETWORK, len(CLASSES)), build(NETWORK, len(CLASSES))
    ema.load_state_dict(net.state_dict())
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    state = checkpoint.load(out, net, ema, optimizer) if resume else None
    first = 0
    if state is not None:
        if state["recipe"] != asdict(recipe):
            raise ModelError(f"{out} holds a training of another recipe: {state['recipe']}", hint="take an empty folder")
        first = int(state["epoch"])
        progress(f"going on after epoch {first}")
    index, chance, prior = sampling(images, recipe.sampling_power)
    log_prior = torch.log(torch.tensor(prior, dtype=torch.float32).clamp_min(1e-6))
    per_epoch = max(1, len(index) // recipe.batch)
    for epoch in range(first, recipe.epochs):
        started = time.monotonic()
        draws = np.random.default_rng([recipe.seed, epoch])
        generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
        torch.manual_seed(recipe.seed * 100_019 + epoch)
        net.train()
        total = 0.0
        for k in range(per_epoch):
            step = epoch * per_epoch + k
            chosen = np.sort(draws.choice(index, recipe.batch, p=chance))
            variant = draws.integers(0, 2, recipe.batch)
            batch = torch.from_numpy(images.pixels[chosen, variant]).permute(0, 3, 1, 2).float()
            labels = torch.from_numpy(images.labels[chosen])
            for group in optimizer.param_groups:
                group["lr"] = rate(step, per_epoch * recipe.epochs, recipe.learning_rate)
            views = augment(batch, recipe.crop_px, generator)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(views)
            # The sampling prior is in the loss and not in the network: its bare logits weigh all classes alike
            # (Menon et al., Long-tail learning via logit adjustment, 2021).
            loss = F.cross_entropy(logits.float() + log_prior, labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average(ema, net, min(recipe.ema_decay, (1 + step) / (10 + step)))
            total += loss.item()
        checkpoint.save(out, net, ema, optimizer, {"epoch": epoch + 1, "recipe": asdict(recipe)})
        progress(f"epoch {epoch + 1}/{recipe.epochs} loss {total / per_epoch:.4f} in {time.monotonic() - started:.0f} s")
    return ema.eval()


@torch.no_grad()
def average(ema: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move ``ema`` towards ``net``: floating values by 1 - ``decay``, counters as they are."""
    for kept, now in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)


@torch.inference_mode()
def logits_of(net: torch.nn.Module, pixels: np.ndarray, *, views: int = 1, batch: int = 64) -> np.ndarray:
    """(N, 128, 128, 3) uint8 to (N, classes) float32 logits, the mean over ``views`` (1, 2, 4 or 8) mirrored and turned copies."""
    found = []
    for start in range(0, len(pixels), batch):
        images = torch.from_numpy(np.ascontiguousarray(pixels[start : start + batch])).permute(0, 3, 1, 2)
        copies = dihedral(images)[:views]
        found.append(torch.stack([net(copy) for copy in copies]).mean(0).float().numpy())
    return np.concatenate(found)
