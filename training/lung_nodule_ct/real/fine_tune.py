"""Continues the training of both stages on real nodules, for each fold and for all patients. Seeded, resumable after every epoch.

``python -m training.lung_nodule_ct.real.fine_tune --data DIR --initial WEIGHTS --out DIR [--part fold-0]``
"""

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models import registry
from models.card import read_card
from models.lung_nodule_ct import second_stage
from models.lung_nodule_ct.two_stages import FIRST, SECOND, TwoStageDetector, join_weights
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.fit.first_stage import FirstStageRecipe, fit_network
from training.lung_nodule_ct.fit.second_stage import SecondStageRecipe, fit_classifier
from training.lung_nodule_ct.patches.candidate_examples import build_examples
from training.lung_nodule_ct.patches.patch_bank import PatchBank
from training.lung_nodule_ct.real.backgrounds import read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.hard_places import find_hard_places
from training.lung_nodule_ct.real.real_bank import build_real_bank

PATCHES = 300  # of each series
STEPS = 50  # per epoch
EPOCHS = 24
ALL = "all"
PARTS = ("fold-0", "fold-1", ALL)  # trained without the patients of that fold, or on every patient
RATE = 2e-3
CROP = 40
LOOKS = 400  # varied patches in which the second stage's candidates are searched
SECOND_EPOCHS, SECOND_RATE = 8, 3e-4


def fine_tune(
    data: Path,
    initial: Path,
    out: Path,
    *,
    seed: int = 0,
    parts: Sequence[str] = PARTS,
    epochs: int = EPOCHS,
    steps: int = STEPS,
    patches: int = PATCHES,
    looks: int = LOOKS,
    second_epochs: int = SECOND_EPOCHS,
    progress: Callable[[str], None] = print,
) -> dict[str, Path]:
    """Train each of ``parts`` into its folder of ``out``; return the weights of each.

    ``initial``: the weights of both stages; its first stage is continued. Half of the negative patches of a series lie around places that
    the initial weights take for nodules.
    """
    out.mkdir(parents=True, exist_ok=True)
    first = out / "initial.safetensors"
    tensors = load_file(initial)
    save_file({k.removeprefix(FIRST): v for k, v in tensors.items() if k.startswith(FIRST)}, first)
    second = {k.removeprefix(SECOND): v for k, v in tensors.items() if k.startswith(SECOND)}
    digest = hashlib.sha256(initial.read_bytes()).hexdigest()
    backgrounds = read_backgrounds(data, seed)
    nodules = read_other_nodules(data, backgrounds)
    card = read_card(registry.MODELS_FOLDER / "lung_nodule_ct" / "card.toml")
    detector = TwoStageDetector(initial, card.network)
    weights = {}
    for name in parts:
        held = None if name == ALL else PARTS.index(name)
        chosen = [one for one in backgrounds if held is None or one.fold != held]
        hard = find_hard_places(detector, chosen, card.thresholds, out, seed=seed, progress=progress)
        chosen = [replace(one, hard=hard[one.name]) for one in chosen]
        bank = build_real_bank(chosen, nodules, out / "bank", seed=seed, size=patches, held=held, progress=progress)
        recipe = FirstStageRecipe(seed, epochs, steps, RATE, CROP, initial=first)
        settings = {"seed": seed, "epochs": epochs, "steps": steps, "patches": patches, "initial": digest, "held": held}
        progress(f"first stage, {name}: {epochs} epochs on {len(chosen)} series")
        own = fit_network(bank, out / name / "first", settings, recipe, progress=progress)
        sizes = {"seed": seed, "epochs": second_epochs, "steps": steps, "looks": looks}
        classifier = tune_second(own, second, bank, out / name / "second", **sizes, progress=progress)
        weights[name] = join_weights(own, classifier, out / name / "weights.safetensors")
        progress(f"written: {weights[name]}")
    return weights


def tune_second(
    first: Path, second: Mapping[str, torch.Tensor], bank: PatchBank, out: Path, *, seed: int, epochs: int, steps: int,
    looks: int, progress: Callable[[str], None] = print,
) -> Path:  # fmt: skip
    """Continue the second stage (weights ``second``) on the candidates of the first stage (weights ``first``) in varied patches."""
    examples = build_examples(first, bank, out, seed=seed, looks=looks, progress=progress)
    progress(f"second stage: {len(examples.nodule)} candidates, {int(examples.nodule.sum())} of them nodules")

    def begin() -> nn.Module:
        model = second_stage.build()
        model.load_state_dict(second)
        return model

    settings = {"seed": seed, "epochs": epochs, "steps": steps, "first": examples.first, "examples": len(examples.nodule)}
    recipe = SecondStageRecipe(seed, epochs, steps, SECOND_RATE)
    return fit_classifier(examples, out, settings, recipe, begin, progress=progress)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("data", "initial", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--part", choices=PARTS, action="append", help="what to train, in this order; default: everything")
    for option, default, text in (
        ("seed", 0, "of the patches and of the training"),
        ("epochs", EPOCHS, f"of the first stage, of {STEPS} steps each"),
        ("patches", PATCHES, "of each series"),
        ("looks", LOOKS, "varied patches in which the second stage's candidates are searched"),
        ("second-epochs", SECOND_EPOCHS, f"of the second stage, of {STEPS} steps each"),
    ):
        parser.add_argument(f"--{option}", type=int, default=default, help=f"{text} (default: {default})")
    given = parser.parse_args()
    sizes = {name: getattr(given, name) for name in ("seed", "epochs", "patches", "looks", "second_epochs")}
    with cpu_threads(1):
        fine_tune(given.data, given.initial, given.out, parts=given.part or PARTS, **sizes, progress=lambda line: print(line, flush=True))
