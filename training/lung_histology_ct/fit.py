"""The training loop of one fold: seeded, one checkpoint per epoch, with a running average of the weights."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core.errors import ModelError
from models.lung_histology_ct.network import SliceNet, build, class_log_probabilities
from training import checkpoint
from training.lung_histology_ct.augment import augment, random_views
from training.lung_histology_ct.data import CLASSES, FOLDS, SliceImages
from training.precision import mixed_precision

NETWORK: Mapping[str, Any] = {
    "kind": "monai.networks.nets.ResNet, twice in every member",
    "members": FOLDS,
    "answer": "mean of the members' logits",
    "widths": [16, 24, 32, 48],
    "layers": [1, 1, 1, 1],
    "dropout": 0.3,
}
SEED = 30


@dataclass(frozen=True, slots=True)
class FoldRecipe:
    """The hyperparameters of a training; written into the card, so the field names are the card's keys.

    ``sampling_power``: a cluster is drawn as often as its size to this power, and a class too.
    """

    seed: int = SEED
    epochs: int = 16
    learning_rate: float = 3e-3
    batch: int = 32
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    sampling_power: float = 0.5
    ema_decay: float = 0.99


def sampling(slices: SliceImages, fold: int, power: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Indices of the training images of ``fold``, the probability of each to be drawn, and the share (4,) of every class among the draws.

    Slices of a large cluster are drawn less often, because thirty slices of one patient are not thirty patients.
    """
    index = np.flatnonzero(slices.folds != fold)
    labels, clusters = slices.labels[index], slices.clusters[index]
    chance = np.bincount(clusters).astype(np.float64)[clusters] ** (power - 1)
    present = np.bincount(labels, minlength=len(CLASSES)) / len(labels)
    for c in np.flatnonzero(present):
        chance[labels == c] *= present[c] ** power / chance[labels == c].sum()
    chance /= chance.sum()
    drawn = np.zeros(len(CLASSES))
    np.add.at(drawn, labels, chance)
    return index, chance, drawn


def class_loss(logits: torch.Tensor, labels: torch.Tensor, drawn: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy of (B, 4) logits against (B,) labels; ``drawn`` (4,) is the share of every class among the draws.

    The shares are added in the loss and not in the network, so that the network's logits are without a prior
    (Menon et al., Long-tail learning via logit adjustment, 2021).
    """
    return F.cross_entropy(class_log_probabilities(logits, drawn), labels, label_smoothing=smoothing)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """A linear warm-up over a twentieth of the steps, then half a cosine down to 1 % of the peak."""
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def train_fold(
    slices: SliceImages, fold: int, out: Path, recipe: FoldRecipe, *, resume: bool, progress: Callable[[str], None]
) -> tuple[SliceNet, list[dict[str, float]]]:
    """Train without the images of ``fold``, or continue from the checkpoint in ``out``.

    Returns the network with the averaged weights in eval mode, and its loss by epoch. Every epoch has its own seeded generators, so that
    a resumed training draws what an uninterrupted one would have drawn. Convolutions run in bfloat16
    where the processor has it (``training.precision``).

    Raises
    ------
    ModelError
        ``out`` holds a checkpoint of another recipe.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed * 101 + fold)
    net = build(NETWORK)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema_decay), use_buffers=True)  # type: ignore[no-untyped-call]
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    begin, history = 0, list[dict[str, float]]()
    state = checkpoint.load(out, net, average, optimizer) if resume else None
    if state is not None:
        if state["recipe"] != asdict(recipe):
            raise ModelError(f"{out} holds a training of another recipe: {state['recipe']}", hint="use an empty folder")
        begin, history = int(state["epoch"]), state["history"]
        progress(f"continuing after epoch {begin}")
    index, chance, drawn = sampling(slices, fold, recipe.sampling_power)
    shares = torch.from_numpy(drawn).float().clamp_min(1e-6)
    per_epoch = max(1, len(index) // recipe.batch)
    for epoch in range(begin, recipe.epochs):
        started, total = time.monotonic(), 0.0
        draws = np.random.default_rng([recipe.seed, fold, epoch])
        transform = random_views(recipe.seed * 100_003 + fold * 1009 + epoch)
        torch.manual_seed(recipe.seed * 100_019 + fold * 1013 + epoch)
        net.train()
        for k in range(per_epoch):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch * per_epoch + k, per_epoch * recipe.epochs, recipe.learning_rate)
            chosen = draws.choice(index, recipe.batch, p=chance)
            batch, labels = augment(slices.planes[chosen], transform), torch.from_numpy(slices.labels[chosen])
            with mixed_precision():
                logits = net(batch)
            loss = class_loss(logits.float(), labels, shares, recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            average.update_parameters(net)
            total += loss.item()
        history.append({"epoch": epoch + 1, "loss": round(total / per_epoch, 4)})
        checkpoint.save(out, net, average, optimizer, {"epoch": epoch + 1, "recipe": asdict(recipe), "history": history})
        progress(f"fold {fold + 1} epoch {epoch + 1}/{recipe.epochs} loss {total / per_epoch:.4f} in {time.monotonic() - started:.0f} s")
    trained = average.module
    assert isinstance(trained, SliceNet)
    return trained.eval(), history
