"""The loop of gradient steps of the transfer learning. All that is random at a step follows from the seed and the step alone.

A training that was interrupted anywhere therefore continues from its last checkpoint to the same weights as an uninterrupted one.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from core.errors import ModelError
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.patient import FACTS
from training import checkpoint
from training.dermoscopy.fit.loop import update_average
from training.dermoscopy.ham10000.data import CLASSES
from training.dermoscopy.transfer.frozen_stages import FrozenStages
from training.dermoscopy.transfer.imagenet import read_imagenet
from training.dermoscopy.transfer.images import TransferImages
from training.dermoscopy.transfer.recipe import TransferRecipe, transfer_rate
from training.dermoscopy.transfer.sampling import ArchiveSampling, adjusted_loss, sample_archives
from training.dermoscopy.transfer.views import random_views
from training.dermoscopy.views.mixup import drop_facts, mix


def train_lite(
    images: TransferImages,
    out: Path,
    recipe: TransferRecipe,
    *,
    save_every: int = 32,
    stop_at: int | None = None,
    imagenet: Path | None = None,
    start: LiteNet | None = None,
    progress: Callable[[str], None] = print,
) -> LiteNet:
    """Train, or continue from the checkpoint in ``out``; return the network with the averaged weights, in eval mode.

    Every ``save_every`` steps the checkpoint is replaced; ``stop_at``: end after that step. ``start``: a network to start from instead of
    the ImageNet weights, for example that of a shorter training.

    Raises
    ------
    ModelError
        ``out`` holds a checkpoint of another recipe.
    """
    torch.manual_seed(recipe.seed)
    net, ema = initial_network(recipe, imagenet), initial_network(recipe, imagenet)
    if start is not None:
        net.load_state_dict(start.state_dict())
    ema.load_state_dict(net.state_dict())
    optimizer = make_optimizer(net, recipe)
    state = checkpoint.load(out, net, ema, optimizer)
    first = 0
    if state is not None:
        if state["recipe"] != asdict(recipe):
            raise ModelError(f"{out} holds a training of another recipe: {state['recipe']}", hint="use an empty folder")
        first = int(state["step"])
        progress(f"continuing after step {first}")
    frozen = FrozenStages(net, recipe.frozen_stages) if frozen_parts(net, recipe) else None
    drawn, last = sample_archives(images, recipe.sampling_power), recipe.steps if stop_at is None else min(stop_at, recipe.steps)
    losses: list[float] = []
    started = time.monotonic()
    for step in range(first, last):
        set_training_mode(net, recipe)
        for group in optimizer.param_groups:
            group["lr"] = transfer_rate(step, recipe) * group["times"]
        loss = step_loss(net, frozen, images, drawn, recipe, step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        done = step + 1
        if done % recipe.average_every == 0 or done == recipe.steps:
            update_average(ema, net, min(recipe.ema_decay, done / (done + 9 * recipe.average_every)))
        if done % save_every == 0 or done == last:
            checkpoint.save(out, net, ema, optimizer, {"recipe": asdict(recipe), "step": done})
            rate = (time.monotonic() - started) / len(losses)
            progress(f"step {done}/{recipe.steps} loss {np.mean(losses):.3f}, {rate:.2f} s a step")
            losses, started = [], time.monotonic()
    return ema.eval()


def initial_network(recipe: TransferRecipe, imagenet: Path | None) -> LiteNet:
    """The network before the first step: the ImageNet weights and a new head, or all at random."""
    net = build_lite({"dropout": recipe.dropout, "drop_path": recipe.drop_path, "facts": FACTS}, len(CLASSES))
    if recipe.pretrained:
        net.trunk.load_state_dict(read_imagenet(imagenet))
        for part in frozen_parts(net, recipe):
            part.requires_grad_(False)
    return net


def frozen_parts(net: LiteNet, recipe: TransferRecipe) -> list[torch.nn.Module]:
    """The parts that keep their ImageNet weights and statistics."""
    if not recipe.pretrained or recipe.frozen_stages == 0:
        return []
    return [net.trunk._conv_stem, net.trunk._bn0, *net.trunk.stages()[: recipe.frozen_stages]]


def set_training_mode(net: LiteNet, recipe: TransferRecipe) -> None:
    """Training mode for all but the frozen parts."""
    net.train()
    for part in frozen_parts(net, recipe):
        part.eval()


def make_optimizer(net: LiteNet, recipe: TransferRecipe) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices and kernels only; ``times`` of a group is its multiple of the learning rate."""
    groups = []
    for head in (False, True):
        chosen = [p for name, p in net.named_parameters() if p.requires_grad and name.startswith("trunk.") is not head]
        times = recipe.head_rate if head and recipe.pretrained else 1.0
        groups.append({"params": [p for p in chosen if p.ndim > 1], "weight_decay": recipe.weight_decay, "times": times})
        groups.append({"params": [p for p in chosen if p.ndim <= 1], "weight_decay": 0.0, "times": times})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def step_loss(
    net: LiteNet, frozen: FrozenStages | None, images: TransferImages, drawn: ArchiveSampling, recipe: TransferRecipe, step: int
) -> torch.Tensor:
    """The loss of the batch that is drawn at ``step``."""
    draws = np.random.default_rng([recipe.seed, 0, step])
    number = int(draws.integers(2**62))
    generator = torch.Generator().manual_seed(number)
    torch.manual_seed(number + 1)  # dropout and stochastic depth
    chosen = np.sort(draws.choice(drawn.index, recipe.batch, p=drawn.chance))
    views = random_views(images.squares(chosen), recipe.side(step), generator)
    facts = drop_facts(torch.from_numpy(images.facts[chosen]), draws, recipe.forgetting)
    labels, log_prior = torch.from_numpy(images.labels[chosen]), drawn.log_prior[torch.from_numpy(images.archive[chosen])]
    mixed = mix(views, torch.zeros(views[:, 0].shape), facts, draws, recipe.mixing)
    last_map = net.maps(mixed.images)[-1] if frozen is None else net.last_map_from(frozen.stages, frozen(mixed.images))
    logits = net.classify(last_map, mixed.facts)
    loss = adjusted_loss(logits, labels, log_prior, recipe.label_smoothing)
    if mixed.share == 1.0:
        return loss
    other = adjusted_loss(logits, labels[mixed.other], log_prior[mixed.other], recipe.label_smoothing)
    return mixed.share * loss + (1 - mixed.share) * other
