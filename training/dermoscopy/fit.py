"""The loop of gradient steps: seeded, one checkpoint per epoch, the average of the weights kept beside them."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses.dice import DiceCELoss

from core.errors import ModelError
from models.dermoscopy.network import LesionNet, build
from models.dermoscopy.patient import FACTS
from models.dermoscopy.preprocess import reduce
from training import checkpoint
from training.dermoscopy.augment import augment, augment_outlined, forget, mix
from training.dermoscopy.data import CLASSES, LesionImages
from training.dermoscopy.validation_curve import EVERY, watch

TRUNK = {"kind": "monai.networks.nets.ResNet", "widths": [32, 64, 128, 192], "layers": [2, 2, 2, 1], "dropout": 0.2}
STAGES: Mapping[str, Mapping[str, Any]] = {
    "first": {**TRUNK, "input_px": 128},
    "second": {**TRUNK, "input_px": 150, "facts": FACTS, "outline": 32, "familiar": True},
}
# The last stage answers alone: averaged with the first it was worse on held-out lesions, in every figure.
NETWORK = {"answer": "mean of the members' logits", "members": {"second": STAGES["second"]}}
SEED = 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one stage of the training is made of; written into the card.

    The rate stays at its peak for ``hold_epochs`` and then falls by a cosine. ``outline`` is the weight of the mask's loss,
    ``mixing`` the chance of a batch to be mixed, ``forgetting`` that of a patient to be unknown.
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
    sampling_power: float = 0.5  # a class is drawn as often as its count to this power
    ema_decay: float = 0.998
    white_balance: float = 0.06
    outline: float = 0.0
    mixing: float = 0.0
    forgetting: float = 0.0
    weighted: bool = False  # the loss of a class by the inverse of its share of the draws, instead of the share in the logits


@dataclass(frozen=True, slots=True)
class Fitted:
    """A network and the figures of every epoch: ``epoch``, ``loss`` and, where it was measured, what ``watch`` found."""

    net: LesionNet
    history: list[dict[str, float]]


def first(seed: int = SEED, epochs: int = 75) -> Recipe:
    """From random weights, images alone, at 128 pixels; ``FIRST_SHARE`` of it is run."""
    return Recipe(seed, epochs, input_px=128, crop_px=112, learning_rate=2e-3)


FIRST_SHARE = 0.4  # of the first stage's epochs are run: the second begins at the rate where it stops


def second(seed: int = SEED, epochs: int = 48) -> Recipe:
    """From the first stage's weights, at 150 pixels, mixed images, with the outline and the patient."""
    return Recipe(
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


def sampling(images: LesionImages, power: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the training images, the chance of each to be drawn, and the share (7,) of each class among the draws.

    Within every class the two archives are drawn in the same proportion: which archive an image is from tells nothing
    about its class, and cannot become a shortcut.
    """
    index = images.learned
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


def rate(step: int, per_epoch: int, recipe: Recipe) -> float:
    """A short linear warm-up, ``hold_epochs`` at the peak, then half a cosine down to 1 % of it."""
    steps = per_epoch * recipe.epochs
    warm = max(1, steps // 20) if recipe.hold_epochs == 0 else per_epoch
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    fall = max(warm, recipe.hold_epochs * per_epoch)
    part = max(0.0, (step - fall) / max(1, steps - fall))
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


def fit(
    images: LesionImages,
    out: Path,
    recipe: Recipe,
    network: Mapping[str, Any],
    *,
    start: Mapping[str, torch.Tensor] | None = None,
    until: int | None = None,
    origin: str = "",
    resume: bool,
    progress: Callable[[str], None],
) -> Fitted:
    """Train, or go on from ``out``'s checkpoint, and return the averaged weights' network in eval mode, and how it went.

    ``start``: weights to begin with; what it does not hold begins at random. ``until``: stop after so many of the recipe's epochs.
    ``origin`` names where ``start`` comes from: a checkpoint of another is not gone on from.
    Every epoch has its own seeded generator: a resumed training draws what an uninterrupted one would have drawn.
    Autocast to bfloat16 doubles the speed on current CPUs.
    """
    torch.manual_seed(recipe.seed)
    net, ema = build(network, len(CLASSES)), build(network, len(CLASSES))
    if start is not None:
        extra = net.load_state_dict(start, strict=False).unexpected_keys
        if extra:
            raise ModelError(f"the weights to start from hold {len(extra)} tensors that the network has not, such as {extra[0]}")
    ema.load_state_dict(net.state_dict())
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    state = checkpoint.load(out, net, ema, optimizer) if resume else None
    last = recipe.epochs if until is None else until
    begin, history = 0, list[dict[str, float]]()
    if state is not None:
        begin, history = int(state["epoch"]), state["history"]
        if state["recipe"] != asdict(recipe) or state.get("origin", "") != origin or begin > last:
            raise ModelError(f"{out} holds a training of another recipe: epoch {begin} of {state['recipe']}", hint="take an empty folder")
        progress(f"going on after epoch {begin}")
    index, chance, prior = sampling(images, recipe.sampling_power)
    log_prior = torch.log(torch.tensor(prior, dtype=torch.float32).clamp_min(1e-6))
    per_epoch = max(1, len(index) // recipe.batch)
    for epoch in range(begin, last):
        started = time.monotonic()
        draws = np.random.default_rng([recipe.seed, epoch])
        generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
        torch.manual_seed(recipe.seed * 100_019 + epoch)
        net.train()
        total = 0.0
        for k in range(per_epoch):
            step = epoch * per_epoch + k
            chosen = np.sort(draws.choice(index, recipe.batch, p=chance))
            for group in optimizer.param_groups:
                group["lr"] = rate(step, per_epoch, recipe)
            loss = step_loss(net, images, chosen, recipe, log_prior, draws, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average(ema, net, min(recipe.ema_decay, (1 + step) / (10 + step)))
            total += loss.item()
        history.append({"epoch": epoch + 1, "loss": round(total / per_epoch, 4)})
        if (epoch + 1) % EVERY == 0 or epoch + 1 == last:
            history[-1] |= watch(ema, images, recipe.input_px)
        checkpoint.save(out, net, ema, optimizer, {"epoch": epoch + 1, "recipe": asdict(recipe), "history": history, "origin": origin})
        said = " ".join(f"{key.replace('_', ' ')} {value:.4f}" for key, value in history[-1].items() if key != "epoch")
        progress(f"epoch {epoch + 1}/{last} {said} in {time.monotonic() - started:.0f} s")
    return Fitted(ema.eval(), history)


def step_loss(
    net: LesionNet,
    images: LesionImages,
    chosen: np.ndarray,
    recipe: Recipe,
    log_prior: torch.Tensor,
    draws: np.random.Generator,
    generator: torch.Generator,
) -> torch.Tensor:
    """The loss of one batch of views of the images ``chosen``.

    The sampling prior is in the loss and not in the network: its bare logits weigh all classes alike
    (Menon et al., Long-tail learning via logit adjustment, 2021).
    """
    variant = draws.integers(0, 2, recipe.batch)
    squares = np.stack([reduce(images.pixels[i, v], recipe.input_px) for i, v in zip(chosen, variant, strict=True)])
    batch = torch.from_numpy(squares).permute(0, 3, 1, 2).float()
    labels = torch.from_numpy(images.labels[chosen])

    def against(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        if recipe.weighted:
            weight = torch.exp(-log_prior) / len(log_prior)
            return F.cross_entropy(logits.float(), wanted, weight, label_smoothing=recipe.label_smoothing)
        return F.cross_entropy(logits.float() + log_prior, wanted, label_smoothing=recipe.label_smoothing)

    if not recipe.outline:
        views = augment(batch, recipe.crop_px, generator, recipe.white_balance)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = net(views)
        return against(logits, labels)
    masks = torch.from_numpy(images.masks[chosen])
    facts = forget(torch.from_numpy(images.patients[chosen]), draws, recipe.forgetting)
    views, masks = augment_outlined(batch, masks, recipe.crop_px, generator, recipe.white_balance)
    mixed = mix(views, masks, facts, draws, recipe.mixing)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = net.maps(mixed.images)
        logits = net.judge(maps[-1], mixed.facts)
        drawn = net.outlined(maps, recipe.crop_px)
    loss = mixed.share * against(logits, labels) + (1 - mixed.share) * against(logits, labels[mixed.other])
    return loss + recipe.outline * outline_loss(drawn, mixed.masks)


def outline_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy and Dice together (MONAI), (B, Y, X) logits against (B, Y, X) in 0..1."""
    loss: torch.Tensor = DiceCELoss(sigmoid=True)(logits[:, None], masks[:, None])
    return loss


@torch.no_grad()
def average(ema: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move ``ema`` towards ``net``: floating values by 1 - ``decay``, counters as they are."""
    for kept, now in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)
