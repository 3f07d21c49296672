"""What a network says of stored images, in one or more views."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from models.dermoscopy.data import CLASSES
from models.dermoscopy.lite import LiteNet, build_lite
from models.dermoscopy.patient import FACTS
from training.dermoscopy_7class import checkpoints
from training.dermoscopy_7class.images import Images
from training.dermoscopy_7class.views import fixed_views

BATCH = 32


def averaged(out: Path, step: int | None = None) -> tuple[LiteNet, int]:
    """The averaged weights of a training's newest checkpoint, or that of ``step``, in eval mode; and its step."""
    folder = out / "rank0"
    there = checkpoints.steps(folder)
    if not there or (step is not None and step not in there):
        raise ModelError(f"{folder} holds the steps {there}, not {step}", hint="train first")
    step = there[-1] if step is None else step
    tensors = load_file(folder / f"{checkpoints.PREFIX}{step:06d}" / "checkpoint.safetensors")
    net = build_lite({"facts": FACTS}, len(CLASSES))
    net.load_state_dict({name.removeprefix("ema."): value for name, value in tensors.items() if name.startswith("ema.")})
    return net.eval().requires_grad_(False), step


@torch.inference_mode()
def logits_of(net: LiteNet, images: Images, index: np.ndarray, side: int, views: int, *, with_patient: bool = True) -> np.ndarray:
    """(N, views, classes) float32 of the images ``index`` (N,): the mean over the first k views is the answer of k views.

    ``side`` in pixels, a multiple of 32. ``with_patient`` False: age, sex and site are unknown.
    """
    parts = []
    for start in range(0, len(index), BATCH):
        part = index[start : start + BATCH]
        facts = torch.from_numpy(images.facts[part]) if with_patient else None
        said = [net(view, facts) for view in fixed_views(images.pixels[part], side, views)]
        parts.append(torch.stack(said, 1))
    return torch.cat(parts).numpy()
