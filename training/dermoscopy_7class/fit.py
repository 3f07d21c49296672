"""The loop of gradient steps of one process. All that is random at a step follows from seed, process and step alone.

So a training that was killed anywhere goes on from its last checkpoint to the same weights as one that never stopped.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.errors import ModelError
from models.dermoscopy.augment import Mixed, forget, mix
from models.dermoscopy.data import CLASSES
from models.dermoscopy.lite import LiteNet, build_lite
from models.dermoscopy.patient import FACTS
from training.dermoscopy_7class import checkpoints
from training.dermoscopy_7class.exchange import Exchange
from training.dermoscopy_7class.front import Front
from training.dermoscopy_7class.imagenet import read_imagenet
from training.dermoscopy_7class.images import Images
from training.dermoscopy_7class.recipe import Recipe, rate, side_px
from training.dermoscopy_7class.sampling import Sampling, adjusted_loss, sampling
from training.dermoscopy_7class.views import random_views

LOG = "log.jsonl"


def fit(
    images: Images,
    out: Path,
    recipe: Recipe,
    *,
    rank: int = 0,
    save_every: int = 24,
    stop_at: int | None = None,
    imagenet: Path | None = None,
    progress: Callable[[str], None] = print,
) -> LiteNet:
    """Train process ``rank`` of ``recipe.processes``, or go on from their newest common checkpoint; return the averaged network.

    ``save_every`` steps, a multiple of ``recipe.exchange_every``, there is a checkpoint in ``out``/rank0, rank1 ...; ``stop_at``: end
    after that step. A recipe that differs from the checkpoint's in anything but ``steps`` raises ModelError; where ``steps`` differs
    the rest of the schedule is followed from here, and the checkpoint records the change.
    """
    if save_every % recipe.exchange_every:
        raise ValueError(f"save_every ({save_every}) must be a multiple of exchange_every ({recipe.exchange_every})")
    torch.manual_seed(recipe.seed)
    net, ema = begin(recipe, imagenet), begin(recipe, imagenet)
    ema.load_state_dict(net.state_dict())
    optimizer = optimizer_of(net, recipe)
    folders = [out / f"rank{other}" for other in range(recipe.processes)]
    common = checkpoints.common_step(folders)
    first, plans = 0, [[0, recipe.steps]]
    if common is not None:
        state = checkpoints.load(folders[rank], common, net, ema, optimizer)
        first, plans = common, plan(state, recipe, common)
        progress(f"going on after step {first}")
    front = Front(net, recipe.frozen_stages) if frozen(net, recipe) else None
    drawn, exchange = sampling(images, recipe.sampling_power), Exchange(out / "exchange", rank, recipe.processes)
    out.mkdir(parents=True, exist_ok=True)
    losses: list[float] = []
    started = time.monotonic()
    for step in range(first, recipe.steps if stop_at is None else min(stop_at, recipe.steps)):
        train_mode(net, recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, recipe) * group["times"]
        loss = step_loss(net, front, images, drawn, recipe, rank, step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
        done = step + 1
        if done % recipe.exchange_every == 0 or done == recipe.steps:
            exchange.average(done, net)
            average(ema, net, min(recipe.ema_decay, done / (done + 9 * recipe.exchange_every)))
        if done % save_every == 0 or done == recipe.steps:
            checkpoints.save(folders[rank], done, net, ema, optimizer, {"recipe": asdict(recipe), "plans": plans})
            line = {"step": done, "loss": round(float(np.mean(losses)), 4), "px": side_px(step, recipe)}
            line |= {"rate": round(rate(step, recipe), 7), "s_per_step": round((time.monotonic() - started) / len(losses), 2)}
            with (out / f"rank{rank}-{LOG}").open("a") as log:
                log.write(json.dumps(line) + "\n")
            progress(f"step {done}/{recipe.steps} loss {line['loss']:.3f} at {line['px']} px, {line['s_per_step']} s a step")
            losses, started = [], time.monotonic()
    return ema.eval()


def begin(recipe: Recipe, imagenet: Path | None) -> LiteNet:
    """The network before the first step: ImageNet's trunk and a new head, or all at random."""
    net = build_lite({"dropout": recipe.dropout, "drop_path": recipe.drop_path, "facts": FACTS}, len(CLASSES))
    if recipe.pretrained:
        net.trunk.load_state_dict(read_imagenet(imagenet))
        for part in frozen(net, recipe):
            part.requires_grad_(False)
    return net


def frozen(net: LiteNet, recipe: Recipe) -> list[torch.nn.Module]:
    """The parts that keep their ImageNet weights and statistics."""
    if not recipe.pretrained or recipe.frozen_stages == 0:
        return []
    return [net.trunk._conv_stem, net.trunk._bn0, *net.trunk.stages()[: recipe.frozen_stages]]


def train_mode(net: LiteNet, recipe: Recipe) -> None:
    """Training mode, but for the frozen parts."""
    net.train()
    for part in frozen(net, recipe):
        part.eval()


def optimizer_of(net: LiteNet, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW: weight decay for matrices only, ``head_rate`` times the rate for what is new; ``times`` of a group is its factor."""
    groups = []
    for head in (False, True):
        chosen = [p for name, p in net.named_parameters() if p.requires_grad and name.startswith("trunk.") is not head]
        times = recipe.head_rate if head and recipe.pretrained else 1.0
        groups.append({"params": [p for p in chosen if p.ndim > 1], "weight_decay": recipe.weight_decay, "times": times})
        groups.append({"params": [p for p in chosen if p.ndim <= 1], "weight_decay": 0.0, "times": times})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def step_loss(net: LiteNet, front: Front | None, images: Images, drawn: Sampling, recipe: Recipe, rank: int, step: int) -> torch.Tensor:
    """The loss of the batch that process ``rank`` draws at ``step``."""
    draws = np.random.default_rng([recipe.seed, rank, step])
    number = int(draws.integers(2**62))
    generator = torch.Generator().manual_seed(number)
    torch.manual_seed(number + 1)  # dropout and stochastic depth
    chosen = np.sort(draws.choice(drawn.index, recipe.batch, p=drawn.chance))
    views = random_views(images.pixels[chosen], side_px(step, recipe), generator)
    facts = forget(torch.from_numpy(images.facts[chosen]), draws, recipe.forgetting)
    labels, log_prior = torch.from_numpy(images.labels[chosen]), drawn.log_prior[torch.from_numpy(images.archive[chosen])]
    mixed: Mixed = mix(views, torch.zeros(views[:, 0].shape), facts, draws, recipe.mixing)
    maps = net.maps(mixed.images) if front is None else net.maps_from(front.stages, front(mixed.images))
    logits = net.judge(maps[-1], mixed.facts)
    loss = adjusted_loss(logits, labels, log_prior, recipe.label_smoothing)
    if mixed.share == 1.0:
        return loss
    other = adjusted_loss(logits, labels[mixed.other], log_prior[mixed.other], recipe.label_smoothing)
    return mixed.share * loss + (1 - mixed.share) * other


@torch.no_grad()
def average(ema: torch.nn.Module, net: torch.nn.Module, decay: float) -> None:
    """Move ``ema`` towards ``net``: floating values by 1 - ``decay``, counters as they are."""
    for kept, now in zip(ema.state_dict().values(), net.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)


def plan(state: dict[str, Any], recipe: Recipe, step: int) -> list[list[int]]:
    """The checkpoint's list of [from this step, total number of steps], with the recipe's total added where it is new."""
    if {**state["recipe"], "steps": 0} != {**asdict(recipe), "steps": 0}:
        raise ModelError(f"the checkpoint is of another recipe: {state['recipe']}", hint="take an empty folder")
    plans: list[list[int]] = state["plans"]
    return plans if plans[-1][1] == recipe.steps else [*plans, [step, recipe.steps]]
