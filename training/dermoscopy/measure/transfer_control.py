"""``python -m training.dermoscopy.measure.transfer_control``: compare a training from ImageNet weights with one from random weights.

``--data DIR --pretrained FILE --random FILE [--out FILE]``: the files are those of two runs of ``training.dermoscopy.transfer.train`` with
the same options, the second with ``--no-pretrained``. Both answer for the lesions that are set aside, with one view of the images at
``--input-px`` pixels. The result is printed as JSON, and written to ``--out``.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.classifier.calibration import softmax
from models.dermoscopy.ensemble import to_tensor
from models.dermoscopy.lite_net import LiteNet
from models.torch_threads import cpu_threads
from training.bootstrap import bootstrap
from training.calibration import expected_calibration_error, fit_temperature
from training.classifier_metrics import auc, class_recalls, sensitivity_at
from training.dermoscopy.ham10000.data import CLASSES
from training.dermoscopy.transfer.archives import DataPart, list_images
from training.dermoscopy.transfer.images import TransferImages, load_transfer_images
from training.dermoscopy.transfer.train import read_lite

BATCH = 64
MELANOMA = CLASSES.index("mel")


def logits_of(net: LiteNet, images: TransferImages, index: np.ndarray, input_px: int) -> np.ndarray:
    """(N, classes) float32 of the images ``index``, one upright view of ``input_px`` pixels, with the facts of the patient."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(index), BATCH):
            some = index[start : start + BATCH]
            squares = to_tensor(list(images.squares(some)), input_px)
            found.append(net(squares, torch.from_numpy(images.facts[some])).numpy())
    return np.concatenate(found)


def metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Balanced accuracy, macro AUC, melanoma sensitivity at 90 % specificity and calibration error of (N, classes) and (N,) labels."""
    areas = [auc(probabilities[:, c], labels == c) for c in range(len(CLASSES))]
    return {
        "balanced_accuracy": float(np.nanmean(class_recalls(probabilities.argmax(1), labels, len(CLASSES)))),
        "macro_auc": float(np.nanmean(areas)),
        "melanoma_sensitivity_at_90_specificity": sensitivity_at(probabilities[:, MELANOMA], labels == MELANOMA),
        "ece": expected_calibration_error(probabilities, labels),
    }


def compare(logits: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Metrics of ``pretrained`` and ``random``, and the first less the second, each with its 95 % interval: whole lesions are redrawn.

    A temperature is fitted to each on the same images, so that the calibration error is too low by a little for both alike.
    """
    probabilities = {name: softmax(values, fit_temperature(values, labels)) for name, values in logits.items()}

    def measure(rows: np.ndarray) -> dict[str, float]:
        tables = {name: metrics(p[rows], labels[rows]) for name, p in probabilities.items()}
        tables["difference"] = {key: value - tables["random"][key] for key, value in tables["pretrained"].items()}
        return {f"{name} {key}": value for name, table in tables.items() for key, value in table.items()}

    found: dict[str, Any] = {"images": len(labels), "lesions": len(set(groups.tolist()))}
    for title, (value, low, high) in bootstrap(measure, groups).items():
        name, key = title.split(" ")
        found.setdefault(name, {})[key] = {"value": value, "low": low, "high": high}
    return found


def main(arguments: list[str] | None = None) -> None:
    """Compare by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--pretrained", type=Path, required=True, help="weights of the training from ImageNet weights")
    parser.add_argument("--random", type=Path, required=True, help="weights of the training from random weights")
    parser.add_argument("--input-px", type=int, default=192, help="side of the images, as in the trainings")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args(arguments)
    with cpu_threads(1):
        images = load_transfer_images(given.data, list_images(given.data))
        index = images.of(DataPart.HELD_OUT)
        files = {"pretrained": given.pretrained, "random": given.random}
        logits = {name: logits_of(read_lite(path), images, index, given.input_px) for name, path in files.items()}
    text = json.dumps(compare(logits, images.labels[index], images.groups[index]), indent=2)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
