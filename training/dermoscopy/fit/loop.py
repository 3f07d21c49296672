"""The training loop of one stage: seeded, one checkpoint per epoch, with a running average of the weights."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import ModelError
from models.dermoscopy.network import LesionNet, build
from training import checkpoint
from training.dermoscopy.fit.loss import batch_loss
from training.dermoscopy.fit.recipe import StageRecipe
from training.dermoscopy.fit.schedule import learning_rate, sampling
from training.dermoscopy.fit.validation_curve import EVERY, validation_figures
from training.dermoscopy.ham10000.data import CLASSES, LesionImages


@dataclass(frozen=True, slots=True)
class TrainedStage:
    """A network in eval mode and the figures of every epoch: ``epoch``, ``loss`` and, where measured, the validation figures."""

    net: LesionNet
    history: list[dict[str, float]]


def train_stage(
    images: LesionImages,
    out: Path,
    recipe: StageRecipe,
    network: Mapping[str, Any],
    *,
    start: Mapping[str, torch.Tensor] | None = None,
    until: int | None = None,
    origin: str = "",
    resume: bool,
    progress: Callable[[str], None],
) -> TrainedStage:
    """Train, or continue from the checkpoint in ``out``; return the network with the averaged weights.

    ``start``: initial weights; tensors that it lacks are initialised at random. ``until``: stop after that many of the recipe's epochs.
    ``origin`` identifies ``start``: a checkpoint with another origin is not continued. Every epoch has its own seeded generators, so
    that a resumed training draws what an uninterrupted one would have drawn.

    Raises
    ------
    ModelError
        ``start`` holds tensors that the network does not have, or ``out`` holds a checkpoint of another recipe.
    """
    torch.manual_seed(recipe.seed)
    net, ema = build(network, len(CLASSES)), build(network, len(CLASSES))
    if start is not None:
        extra = net.load_state_dict(start, strict=False).unexpected_keys
        if extra:
            raise ModelError(f"the weights to start from hold {len(extra)} tensors that the network has not, such as {extra[0]}")
    ema.load_state_dict(net.state_dict())
    optimizer = make_optimizer(net, recipe)
    state = checkpoint.load(out, net, ema, optimizer) if resume else None
    last = recipe.epochs if until is None else until
    begin, history = 0, list[dict[str, float]]()
    if state is not None:
        begin, history = int(state["epoch"]), state["history"]
        if state["recipe"] != asdict(recipe) or state.get("origin", "") != origin or begin > last:
            raise ModelError(f"{out} holds a training of another recipe: epoch {begin} of {state['recipe']}", hint="use an empty folder")
        progress(f"continuing after epoch {begin}")
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
                group["lr"] = learning_rate(step, per_epoch, recipe)
            loss = batch_loss(net, images, chosen, recipe, log_prior, draws, generator)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            update_average(ema, net, min(recipe.ema_decay, (1 + step) / (10 + step)))
            total += loss.item()
        history.append({"epoch": epoch + 1, "loss": round(total / per_epoch, 4)})
        if (epoch + 1) % EVERY == 0 or epoch + 1 == last:
            history[-1] |= validation_figures(ema, images, recipe.input_px)
        checkpoint.save(out, net, ema, optimizer, {"epoch": epoch + 1, "recipe": asdict(recipe), "history": history, "origin": origin})
        figures = " ".join(f"{key.replace('_', ' ')} {value:.4f}" for key, value in history[-1].items() if key != "epoch")
        progress(f"epoch {epoch + 1}/{last} {figures} in {time.monotonic() - started:.0f} s")
    return TrainedStage(ema.eval(), history)


def make_optimizer(net: torch.nn.Module, recipe: StageRecipe) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices and kernels only, not on biases and normalisation."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


@torch.no_grad()
def update_average(ema: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move ``ema`` towards ``net``: floating-point tensors by 1 - ``decay``, counters are copied."""
    for kept, now in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)
