"""Compares four methods for imbalanced classes (115 to 6,705 images), trained on fold 0 and evaluated on the held-out lesions.

.venv/bin/python -m tests.bench.imbalance [--data DIR] [--epochs 10] [--seeds 20 21]

The first stage at 96 pixels without patient data, which takes minutes on one core. The methods: equal sampling of all classes; sampling
as in the data with a loss weighted by class; with logit adjustment; and what the recipe does, half of both.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

from models.dermoscopy.network import LesionNet
from models.dermoscopy.preprocess import resize_square
from models.torch_threads import cpu_threads
from training.classifier_metrics import mean_of, per_class
from training.dermoscopy.fit.loop import train_stage
from training.dermoscopy.fit.recipe import STAGES, first_stage
from training.dermoscopy.ham10000.data import CLASSES, LesionImages, load_images, read_index
from training.dermoscopy.ham10000.split import held_out

SIDE, CROP, BATCH = 96, 84, 64
METHODS: Mapping[str, Mapping[str, Any]] = {
    "class-balanced sampling": {"sampling_power": 0.0},
    "weighted loss": {"sampling_power": 1.0, "weighted": True},
    "logit-adjusted loss": {"sampling_power": 1.0},
    "square-root sampling, logit-adjusted": {"sampling_power": 0.5},
}


def main() -> None:
    """Train with every method and print the metrics."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked.add_argument("--cache", type=Path, default=Path("out/crossval"), help="where the decoded images are kept")
    asked.add_argument("--epochs", type=int, default=10)
    asked.add_argument("--seeds", type=int, nargs="+", default=[20, 21])
    given = asked.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    rows = read_index(given.data)
    say = lambda line: print(line, file=sys.stderr, flush=True)  # noqa: E731
    images = load_images(given.data, given.cache, rows, held_out(rows, 0), report=say)
    table = {**STAGES["first"], "input_px": SIDE}
    found = []
    with cpu_threads(1), tempfile.TemporaryDirectory() as folder:
        for name, changed in METHODS.items():
            figures = []
            for seed in given.seeds:
                recipe = replace(first_stage(seed, given.epochs), input_px=SIDE, crop_px=CROP, **changed)
                out = Path(folder) / f"{name}-{seed}"
                out.mkdir()
                fitted = train_stage(images, out, recipe, table, resume=False, progress=lambda line, name=name: say(f"{name}: {line}"))
                figures.append(evaluate(fitted.net, images))
            found.append({"answer": name, **{key: [round(one[key], 4) for one in figures] for key in figures[0]}})
            found[-1]["mean_balanced_accuracy"] = round(mean(one["balanced_accuracy"] for one in figures), 4)
            say(json.dumps(found[-1]))
    how = {"epochs": given.epochs, "seeds": given.seeds, "pixels": SIDE, "held_out": int(images.validation.sum())}
    print(json.dumps({**how, "found": found}, indent=2))


@torch.inference_mode()
def evaluate(net: LesionNet, images: LesionImages) -> dict[str, float]:
    """Return the metrics on every held-out image, without patient data."""
    chosen = np.flatnonzero(images.validation)
    parts = []
    for start in range(0, len(chosen), BATCH):
        squares = np.stack([resize_square(images.pixels[i, 0], SIDE) for i in chosen[start : start + BATCH]])
        parts.append(torch.softmax(net(torch.from_numpy(squares).permute(0, 3, 1, 2)).float(), 1).numpy())
    p, truth = np.concatenate(parts).astype(np.float64), images.labels[chosen]
    classes = per_class(p.argmax(1), truth, p, CLASSES)
    rare = [classes[name]["recall"] for name in ("df", "vasc", "akiec")]
    return {
        "balanced_accuracy": mean_of(classes, "recall"),
        "macro_auc": mean_of(classes, "auc"),
        "macro_f1": mean_of(classes, "f1"),
        "accuracy": float((p.argmax(1) == truth).mean()),
        "recall_of_rare": float(np.mean(rare)),
        "recall_mel": classes["mel"]["recall"],
    }


if __name__ == "__main__":
    main()
