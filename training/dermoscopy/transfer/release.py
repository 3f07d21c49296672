"""``python -m training.dermoscopy.transfer.release``: add EfficientNets to the networks of the folds, calibrate and measure the whole.

``--data DIR --lite FILE [--lite FILE ...] [--average] [--member fold4] --out DIR``. ``--base`` is a folder with card and weights
(default: the shipped model); its EfficientNets, if it has any, are replaced. Written are weights.safetensors, card.toml, metrics.json and
the table of held-out images.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from models.card import DataSource, ModelCard, read_card
from models.classifier.efficientnet_lite import KIND
from models.dermoscopy.ensemble import Ensemble
from models.dermoscopy.model import DermoscopyClassifier
from models.dermoscopy.patient import FACTS
from models.dermoscopy.postprocess import MELANOMA, OPERATING_POINTS
from models.dermoscopy.preprocess import FINE_PX, reduced_square
from models.torch_threads import cpu_threads
from training import drawn_pictures
from training.average_weights import average_weights
from training.classifier_metrics import rounded
from training.dermoscopy.finish import DRAWN_OF_EACH_KIND, MODEL_FOLDER, write_release
from training.dermoscopy.ham10000.data import CLASSES, load_images, read_index
from training.dermoscopy.ham10000.split import set_aside
from training.dermoscopy.measure.held_out_table import HeldOutTable
from training.dermoscopy.transfer.archives import DataPart, list_images
from training.dermoscopy.transfer.external import measure_external
from training.dermoscopy.transfer.imagenet import ORIGIN
from training.dermoscopy.transfer.images import TransferImages, frame_of, load_transfer_images
from training.dermoscopy.transfer.robustness import measure_robustness
from training.dermoscopy.transfer.train import read_lite

LITE = "lite"  # name of the first such member; a second one is "lite2"
VIEWS = 2
DISTANCE_EVERY = 8  # every eighth training image is enough for the limit of distance
REFUSED_OF_TRAINING = 0.003  # this share of the training images is beyond the limit of distance, if that refuses PLAIN_SKIN too
PLAIN_SKIN = 0.97  # share of drawn pictures of plain skin that must be refused, by the distance or because no lesion is outlined
NO_LESION = 0.95  # an outline whose surest pixel has a lower probability is none: fewer than one training image in a thousand
ROBUSTNESS_EVERY = 8
IMAGENET = DataSource(
    f"ImageNet (initial weights: {ORIGIN})",
    "images: non-commercial research and education; weights: Apache-2.0",
    "10.1007/s11263-015-0816-y",
)
ISIC = DataSource("ISIC 2017 challenge without its test part (Codella et al. 2018, arXiv 1710.05006)", "CC0", "")


def make_release(
    data: Path,
    lites: Sequence[Path],
    out: Path,
    *,
    base: Path = MODEL_FOLDER,
    version: str | None = None,
    input_px: int = 192,
    recipe: dict[str, Any] | None = None,
    members: Sequence[str] = (),
    averaged: bool = False,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
) -> dict[str, Any]:
    """Write the release of the networks in ``base`` and the EfficientNets in the files ``lites`` to ``out``; return the metrics.

    All networks of one kind have together the same weight in the mean of the logits, so no weight is fitted on held-out images. The limit
    of distance is set anew from training images; temperature, operating points and metrics are of the lesions set aside from all trainings.

    Parameters
    ----------
    version
        Of the new card (default: that of ``base``).
    input_px
        Side of the EfficientNets' input, a multiple of 32.
    recipe
        What the card says of the EfficientNets' training.
    members
        Names of the networks of the folds that are kept (default: all); the last one of ``base`` is among them.
    averaged
        Make one EfficientNet of all, whose weights are the mean of theirs.
    limit_per_class
        Fewer images of every class (tests).

    Raises
    ------
    ModelError
        ``base`` has no such member, or the one that measures the distance from the training images is not kept.
    """
    before = read_card(base / "card.toml")
    folds = kept_folds(before, members)
    digests = [hashlib.sha256(lite.read_bytes()).hexdigest() for lite in lites]
    if averaged:
        mean = out / "averaged_lite.safetensors"
        average_weights(lites, mean)
        lites = [mean]
    table = {"kind": KIND, "input_px": input_px, "facts": FACTS, "views": VIEWS, "weight": len(folds) / len(lites)}
    names = [LITE if number == 0 else f"{LITE}{number + 1}" for number in range(len(lites))]
    network = {"answer": "weighted mean of the members' logits", "members": {**dict.fromkeys(names, table), **folds}}
    ensemble = Ensemble(network, len(before.labels))
    stored = load_file(base / before.weights)
    tensors = {name: value for name, value in stored.items() if name.split(".")[1] in folds}
    for name, lite in zip(names, lites, strict=True):
        tensors |= {f"members.{name}.{key}": value for key, value in read_lite(lite).state_dict().items()}
    ensemble.load_state_dict(tensors)
    ensemble.eval()
    rows = read_index(data)
    listed = list_images(data, limit_per_class=limit_per_class)
    images = load_transfer_images(data, listed)
    card = replace(
        before,
        version=before.version if version is None else version,
        preprocessing={**before.preprocessing, "most_px": FINE_PX, "views": VIEWS},
        network=network,
        training={
            **before.training,
            "members": {name: value for name, value in before.training["members"].items() if name in folds},
            "transfer": {"origin": ORIGIN, **(recipe or {}), "averaged": averaged, "sha256": digests},
        },
        thresholds={**before.thresholds, **likeness_limits(ensemble, images, limit_per_class or DRAWN_OF_EACH_KIND)},
        data=tuple({source.name: source for source in (*before.data, ISIC, IMAGENET)}.values()),
    )
    aside = set_aside(rows)
    held = images.of(DataPart.HELD_OUT)
    kept = {images.listed[i].row.image_id for i in held}
    common = load_images(data, out, [row for row in rows if row.image_id in kept], aside, report=progress)
    squares = squares_of(images, held)

    def measure_more(model: DermoscopyClassifier, table: HeldOutTable) -> dict[str, Any]:
        return more_metrics(model, table, images, progress)

    with cpu_threads(1):
        return write_release(ensemble, card, common, data, out, progress, limit_per_class, squares, measure_more)


def kept_folds(before: ModelCard, members: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The tables of the networks of the folds ``members`` of a card, or of all, in their order. Raises ModelError as ``make_release``."""
    known = {name: {**table, "views": VIEWS} for name, table in before.network["members"].items() if table.get("kind") != KIND}
    unknown = [name for name in members if name not in known]
    if unknown:
        raise ModelError(f"{before.name} {before.version} has no network {unknown[0]}", hint=f"it has {', '.join(known)}")
    *_, last = known
    if members and last not in members:
        raise ModelError(f"{last} measures the distance from the training images", hint=f"keep it too: --member {last}")
    return {name: table for name, table in known.items() if not members or name in members}


def squares_of(images: TransferImages, chosen: np.ndarray) -> list[np.ndarray]:
    """What serving passes to the networks: the centre squares, reduced to at most 224 pixels."""
    return [reduced_square(frame_of(images.jpegs[i], images.listed[i].row.archive), FINE_PX) for i in chosen]


@torch.inference_mode()
def likeness_limits(ensemble: Ensemble, images: TransferImages, drawn: int = DRAWN_OF_EACH_KIND) -> dict[str, float]:
    """The limits of ``check_networks``.

    ``max_distance`` is exceeded by the share REFUSED_OF_TRAINING of the training images, or it is less, so that PLAIN_SKIN of the ``drawn``
    pictures of plain skin are refused. A picture on which no lesion is outlined is refused at any distance.
    """
    net = ensemble.member(ensemble.last)

    def distance(frame: np.ndarray) -> float:
        maps = net.maps(ensemble.input_of(ensemble.last, [frame]))
        assert net.outline is not None
        surest = float(torch.sigmoid(net.outline(maps).float().max()))
        return float(net.distance(maps)) if surest >= NO_LESION else np.inf

    chosen = images.of(DataPart.TRAINING)[::DISTANCE_EVERY]
    training = [distance(frame_of(images.jpegs[i], images.listed[i].row.archive)) for i in chosen]
    plain = [distance(drawn_pictures.draw_picture("plain_skin", seed)) for seed in range(drawn)]
    limit = min(np.quantile(training, 1 - REFUSED_OF_TRAINING, method="higher"), np.quantile(plain, 1 - PLAIN_SKIN, method="lower"))
    return {"max_distance": round(float(limit), 3), "min_outline": NO_LESION}


def more_metrics(
    model: DermoscopyClassifier, table: HeldOutTable, images: TransferImages, progress: Callable[[str], None]
) -> dict[str, Any]:
    """The operating points for melanoma, the figures of the external test, and those of distorted images."""
    held = images.of(DataPart.HELD_OUT)
    labels = images.labels[held]
    p, melanoma = table.probabilities()[:, CLASSES.index(MELANOMA)], labels == CLASSES.index(MELANOMA)
    points = {}
    for name, percent in OPERATING_POINTS.items():
        if name in model.card.thresholds:
            above = p >= model.card.thresholds[name]
            points[f"sensitivity_{percent}"] = {
                "threshold": model.card.thresholds[name],
                "sensitivity": rounded(above[melanoma].mean()),
                "specificity": rounded(1 - above[~melanoma].mean()),
            }
    found: dict[str, Any] = {"melanoma_operating_points": points}
    if len(images.of(DataPart.EXTERNAL)):
        found["external"] = measure_external(model, images)
        progress(f"external: {found['external']}")
    some = held[::ROBUSTNESS_EVERY]
    found["robustness"] = measure_robustness(model, images.squares(some), images.labels[some], progress=progress)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Make the release by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    text = "lite.safetensors, a checkpoint of the training, or the shipped weights (their first EfficientNet); one or several"
    parser.add_argument("--lite", type=Path, required=True, action="append", help=text)
    parser.add_argument("--base", type=Path, default=MODEL_FOLDER, help="folder of the networks of the folds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", help="of the new card")
    parser.add_argument("--input-px", type=int, default=192)
    parser.add_argument("--recipe", type=json.loads, default={}, help="what the card says of the training, JSON")
    parser.add_argument("--member", action="append", default=[], help="a network of the folds that is kept (default: all of them)")
    parser.add_argument("--average", action="store_true", help="make one EfficientNet of all, by the mean of their weights")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    options = {"base": given.base, "version": given.version, "input_px": given.input_px, "recipe": given.recipe}
    make_release(given.data, given.lite, given.out, **options, members=given.member, averaged=given.average)


if __name__ == "__main__":
    main()
