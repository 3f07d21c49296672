"""Converts a MONAI bundle to card.toml and weights.safetensors, offline.

What no bundle states (licence, codes, what the model must not be used for), a person states in a small TOML file.
"""

import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ModelError
from models import runtime
from models.bundle import detector_network, segmentation_networks
from models.bundle.about import OPTIONAL, REQUIRED, check_labels, merge_thresholds, read_about
from models.bundle.allow_list import require_call
from models.bundle.classifier import networks as classifier_networks
from models.bundle.classifier.parts_table import read_parts
from models.bundle.classifier.transforms import image_channels
from models.bundle.classifier.transforms import read_preprocessing as read_classifier_preprocessing
from models.bundle.config_reader import SUFFIXES, BundleConfig, read_config
from models.bundle.transforms import BOX_SELECTION, OPERATING_SCORE, REVIEW_SCORE, read_preprocessing, read_thresholds
from models.bundle.weights import save_weights
from models.card import FIX as CARD_HINT
from models.card import ModelCard, card_of
from models.card_writer import render_card
from models.installed import BUNDLE

MAX_UNPACKED_BYTES = 4 << 30
WEIGHTS = ("models/model.pt", "models/model.safetensors")
# RuntimeError: an encrypted entry, or a kind of compression that is not supported.
UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, zlib.error, lzma.LZMAError)
MEMBERS = (*(f"configs/{name}{end}" for name in ("metadata", "inference") for end in SUFFIXES), *WEIGHTS)


def convert(bundle: Path, about: Path, out: Path) -> ModelCard:
    """Write card.toml and weights.safetensors of ``bundle`` (a folder or a zip) to ``out``, and load them once as a worker does.

    Parameters
    ----------
    about
        TOML with what the bundle does not state: name, licence, not_for, looked_for and labels with their codes; and optionally other
        values of the card: title, version, manufacturer, intended_use, limits, data, tiers, thresholds, input; and of a classifier the
        ``temperature`` that calibrates its probabilities, without which they are reported as scores.

    Raises
    ------
    ModelError
        The layout is not that of a bundle, the network is not on the allow list, its weights do not fit, or ``about`` lacks keys or has
        others.
    """
    out.mkdir(parents=True, exist_ok=True)
    if bundle.is_file():
        bundle = unpack_archive(bundle, out / "bundle")
    metadata = read_config(bundle / "configs", "metadata")
    config = read_config(bundle / "configs", "inference")
    stated = read_about(about)
    family, tables = describe_bundle(config, stated)
    weights = out / "weights.safetensors"
    save_weights(bundle / "models", family.build(tables["network"]), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    for key in ("task", "unit"):
        if stated.get(key, tables[key]) != tables[key]:
            raise ModelError(f"{key} is {tables[key]!r} for this bundle, not {stated[key]!r}", hint="leave it out")
    more = BOX_SELECTION if family is detector_network else ()
    tables["thresholds"] = merge_thresholds(tables["thresholds"], stated.get("thresholds", {}), more)
    try:
        card = card_of(card_table(metadata, stated, digest) | tables)
    except ModelError as error:
        if error.hint == CARD_HINT:  # nobody has written that file
            error.hint = f"correct {about.name}: docs/models/your-own.md"
        raise
    check_labels(card.labels, card.network, metadata, about.name)
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    loaded = runtime.load_folder(out, device="cpu", package=BUNDLE)
    if family is classifier_networks:
        _run_once(loaded)
    return card


def _run_once(model: runtime.Model) -> None:
    """Run a classifier on an empty image. Raises ModelError where its network cannot be run on what the pre-processing makes of one."""
    try:
        model.warm_up()
    except runtime.UNFIT_ERRORS as error:
        said = f"{type(error).__name__}: {error}"[: runtime.MAX_SAID]
        fix = "correct configs/inference.json: preprocessing has to end with the size and the channels of the network"
        raise ModelError(f"the network cannot be run on what preprocessing makes of an image ({said})", hint=fix) from error


def describe_bundle(config: BundleConfig, stated: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The module that builds the bundle's network, and the tables of the card that follow from the configuration. Raises ModelError."""
    if classifier_networks.is_classifier(config):
        network = classifier_networks.describe_network(config) | {"calibrated": "temperature" in stated}
        modality = str(stated.get("input", {}).get("modality", ""))
        image = network["dims"] == 2 and not modality
        preprocessing = read_classifier_preprocessing(config, network["dims"], modality)
        grey = image_channels(preprocessing["steps"], network["channels"]) == 1
        return classifier_networks, {
            "network": network,
            "preprocessing": preprocessing | read_parts(stated, modality, network["dims"]),
            "thresholds": {"score": OPERATING_SCORE, "review_score": REVIEW_SCORE},
            "task": "classify",
            "unit": "image" if image else "series",
            "input": {"grey": "accept" if image and grey else "refuse"} | stated.get("input", {}),
        }
    if stated.get("input", {}).get("modality"):
        raise ModelError("input.modality is for classifiers: detection and segmentation run on CT series", hint="leave it out")
    known = (*detector_network.NETWORKS, *segmentation_networks.TARGETS, *classifier_networks.TARGETS)
    require_call(config.require("network_def"), known, "network_def")
    family = segmentation_networks if segmentation_networks.is_segmentation(config) else detector_network
    network = family.describe_network(config)
    tables = {"network": network, "preprocessing": read_preprocessing(config), "thresholds": read_thresholds(config)}
    return family, tables | {"task": "detect", "unit": "series"}


def unpack_archive(path: Path, into: Path) -> Path:
    """Unpack the files that are needed from a zip, whose size is limited; return the folder that holds ``configs``."""
    try:
        with zipfile.ZipFile(path) as archive:
            members: dict[str, zipfile.ZipInfo] = {}
            for info in archive.infolist():
                for name in MEMBERS:
                    if not ("/" + info.filename).endswith("/" + name):
                        continue
                    if name in members:
                        raise ModelError(f"{path.name} holds {name} more than once", hint="pack one bundle alone")
                    members[name] = info
            if sum(info.file_size for info in members.values()) > MAX_UNPACKED_BYTES:
                raise ModelError(f"{path.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
            for name, info in members.items():
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("wb") as sink:
                    while part := source.read(1 << 20):
                        sink.write(part)
    except UNREADABLE as error:
        raise ModelError(f"{path} is neither a folder nor a zip that can be read", hint=f"{type(error).__name__}: {error}") from error
    return into


def card_table(metadata: BundleConfig, stated: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """The card's table without network, pre-processing and thresholds; ``stated`` takes precedence over the bundle's metadata."""
    given = metadata.values
    table: dict[str, Any] = {
        "version": str(given.get("version", "0")),
        "title": str(given.get("task") or stated["name"]),
        "manufacturer": str(given.get("authors") or "not stated by the bundle"),
        "intended_use": f"Research. What its authors say: {given.get('intended_use') or 'nothing'}.",
        "task": "detect",
        "unit": "series",
        "limits": ["Imported from a MONAI bundle: nothing was measured on this node, and the operating point is a guess."],
        "data": [{"name": str(given.get("data_source") or "not stated by the bundle"), "licence": "not stated by the bundle"}],
    }
    table |= {key: stated[key] for key in (*REQUIRED, *OPTIONAL) if key in stated}
    return table | {
        "status": "research",
        "weights": "weights.safetensors",
        "weights_sha256": digest,
        "training": {"bundle_monai_version": str(given.get("monai_version", ""))},
        "metrics": {"measured": f"nothing here; the bundle claims {str(given.get('eval_metrics'))[:400]}"},
    }
