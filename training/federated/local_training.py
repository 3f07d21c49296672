"""Trains the weights of a round on the images of one site."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from models.card import ModelCard, read_card
from models.dermoscopy.ensemble import Ensemble
from models.dermoscopy.network import LesionNet
from models.torch_threads import cpu_threads
from training.dermoscopy.fit.loop import make_optimizer
from training.dermoscopy.fit.loss import batch_loss
from training.dermoscopy.fit.recipe import StageRecipe
from training.dermoscopy.fit.schedule import sampling
from training.dermoscopy.ham10000.data import LesionImages
from training.federated.plan import HEAD, FederatedPlan

CROP_SHARE = 128 / 150  # of the network's side, as in the second stage of `models train`
BATCH = 32
CONSTANTS = (".mean", ".std")  # the ends of their names: the normalisation of the input


@dataclass(frozen=True, slots=True)
class LocalResult:
    """``tensors`` after training, the mean ``loss`` of the steps, and the number of ``images`` they were drawn from."""

    tensors: dict[str, npt.NDArray[np.float32]]
    loss: float
    images: int


def load_ensemble(card: ModelCard, weights: Path) -> Ensemble:
    """The networks of a card with the tensors of ``weights``."""
    ensemble = Ensemble(card.network, len(card.labels))
    ensemble.load_state_dict(load_file(weights))
    return ensemble.eval()


def shared_names(ensemble: Ensemble, scope: str) -> list[str]:
    """Names of the tensors that travel, of the LesionNets: of the last layers, or all floating-point ones but the distance's and constants.

    A member with ImageNet weights keeps its own: it sees larger images than those that a site's images are reduced to.
    """
    trained = tuple(f"members.{name}." for name in ensemble.lesion_nets)
    tensors = {name: tensor for name, tensor in ensemble.state_dict().items() if name.startswith(trained)}
    if scope == HEAD:
        return [name for name in tensors if ".trunk.fc." in name]
    floating = [name for name, tensor in tensors.items() if tensor.dtype.is_floating_point and ".familiarity." not in name]
    return [name for name in floating if not name.endswith(CONSTANTS)]


def shared_tensors(ensemble: Ensemble, scope: str) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors that travel, as float32 arrays."""
    state = ensemble.state_dict()
    return {name: state[name].float().numpy().copy() for name in shared_names(ensemble, scope)}


def train_locally(
    model: Path, tensors: Mapping[str, npt.NDArray[np.float32]], images: LesionImages, plan: FederatedPlan, number: int
) -> LocalResult:
    """Train ``plan.steps`` steps from ``tensors`` on ``images``; the networks are those of the card in the folder ``model``.

    Seeded by the plan and the round ``number``, one thread: the same images give the same update. The classes of a site are drawn as in
    `models train`, and their shares are added in the loss, so that a site with few classes does not teach that there are no others.
    """
    card = read_card(model / "card.toml")
    ensemble = load_ensemble(card, model / card.weights)
    ensemble.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}, strict=False)
    seed = plan.seed * 100_003 + number
    torch.manual_seed(seed)
    losses: list[float] = []
    with cpu_threads(1):
        for name in ensemble.lesion_nets:
            losses += _train_member(ensemble.member(name), ensemble.sides[name], images, plan, number, seed)
    return LocalResult(shared_tensors(ensemble, plan.scope), float(np.mean(losses)), len(images.training))


def _train_member(net: LesionNet, side: int, images: LesionImages, plan: FederatedPlan, number: int, seed: int) -> list[float]:
    # Smoothed labels give every class a share of each image. With the prior in the loss, a class that the site does not have would need
    # a huge logit for its share, and the site would teach that every image is of that class.
    recipe = StageRecipe(
        seed,
        plan.rounds,
        input_px=side,
        crop_px=round(side * CROP_SHARE),
        learning_rate=plan.rate(number),
        batch=BATCH,
        label_smoothing=0.0,
    )
    if plan.scope == HEAD:
        net.requires_grad_(False)
        net.trunk.fc.requires_grad_(True)  # type: ignore[union-attr]
    else:
        net.train()
    optimizer = make_optimizer(net, recipe)
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate
    index, chance, prior = sampling(images, recipe.sampling_power)
    log_prior = torch.log(torch.tensor(prior, dtype=torch.float32).clamp_min(1e-6))
    draws, generator = np.random.default_rng([seed, side]), torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(plan.steps):
        chosen = np.sort(draws.choice(index, recipe.batch, p=chance))
        loss = batch_loss(net, images, chosen, recipe, log_prior, draws, generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    return losses
