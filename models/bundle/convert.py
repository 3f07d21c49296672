"""A MONAI bundle to card and safetensors, offline. What no bundle says, a person says in a small TOML file beside it.

``torch.load`` stands here and nowhere else: bundles bring ``model.pt``. It reads tensors and nothing more (``weights_only``),
in the process of the person who imports; what serves are safetensors.
"""

import hashlib
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from core.errors import ModelError
from models.bundle import detector_network, segmentation_networks
from models.bundle.config_reader import SUFFIXES, Call, Config, read_config
from models.card import DATA, LABEL, TEXTS, ModelCard, checked, parse_card
from models.card_writer import key_text, value_text
from models.card_writer import render_card as render

MAX_UNPACKED_BYTES = 4 << 30
WEIGHTS = ("models/model.pt", "models/model.safetensors")
WANTED = (*(f"configs/{name}{end}" for name in ("metadata", "inference") for end in SUFFIXES), *WEIGHTS)
MUST_SAY = ("name", "licence", "not_for", "looked_for", "labels")
OPERATING_SCORE, REVIEW_SCORE, MOST_FINDINGS, LEAST_VOLUME_MM3 = 0.5, 0.8, 20.0, 50.0
PASSED_OVER = ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "Orientationd", "Spacingd", "ScaleIntensityRanged", "CastToTyped")


def convert(bundle: Path, about: Path, out: Path) -> ModelCard:
    """Write card.toml and weights.safetensors of ``bundle`` (a folder or a zip) to ``out``.

    Parameters
    ----------
    about
        TOML with what the bundle does not say: name, licence, not_for, looked_for and labels with their codes; and, of a card,
        title, version, manufacturer, intended_use, limits, data, thresholds where they are to be others.

    Raises
    ------
    ModelError
        Not the layout of a bundle, a network that is not on the allow list, weights that do not fit it, or too little said.
    """
    out.mkdir(parents=True, exist_ok=True)
    if bundle.is_file():
        bundle = unpack(bundle, out / "bundle")
    metadata = read_config(bundle / "configs", "metadata")
    config = read_config(bundle / "configs", "inference")
    family = segmentation_networks if segmentation_networks.wanted(config) else detector_network
    values = {"network": family.described(config), "preprocessing": preprocessing(config), "thresholds": thresholds(config)}
    said = read_about(about)
    weights = out / "weights.safetensors"
    save_weights(bundle / "models", family.build(values["network"]), weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = parse_card(card_text(metadata, said, values, digest))
    (out / "card.toml").write_text(render(card), encoding="utf-8")
    return card


def unpack(path: Path, into: Path) -> Path:
    """The few files that are needed, out of a zip; the folder that holds ``configs``."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: info for info in archive.infolist() for name in WANTED if ("/" + info.filename).endswith("/" + name)}
            if sum(info.file_size for info in members.values()) > MAX_UNPACKED_BYTES:
                raise ModelError(f"{path.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
            for name, info in members.items():
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("wb") as sink:
                    while part := source.read(1 << 20):
                        sink.write(part)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ModelError(f"{path} is neither a folder nor a zip that can be read") from error
    return into


def preprocessing(config: Config) -> dict[str, Any]:
    """Grid, window and sliding window, as plain values; a transform that is not known is refused, not left out."""
    pipeline = config.need("preprocessing")
    steps = pipeline.kwargs.get("transforms", []) if isinstance(pipeline, Call) else []
    named = {step.name: step for step in steps if isinstance(step, Call)}
    unknown = sorted(set(named) - set(PASSED_OVER))
    if unknown or len(named) == 0:
        raise ModelError(f"preprocessing has transforms that are not known here: {', '.join(unknown) or 'none at all'}")
    for needed in ("Spacingd", "ScaleIntensityRanged", "Orientationd"):
        if needed not in named:
            raise ModelError(f"preprocessing has no {needed}: the grid that the network wants cannot be told")
    scale, axes = named["ScaleIntensityRanged"].kwargs, named["Orientationd"].kwargs.get("axcodes")
    if axes != "RAS":
        raise ModelError(f"only the orientation RAS is served, not {axes!r}")
    window = operation(config, "set_sliding_window_inferer") or inferer(config)
    return {
        "axes": axes,
        "pixdim_mm": [detector_network.number(one, "pixdim") for one in named["Spacingd"].kwargs.get("pixdim", [])],
        "hu": [detector_network.number(scale.get("a_min"), "a_min"), detector_network.number(scale.get("a_max"), "a_max")],
        "range": [detector_network.number(scale.get("b_min"), "b_min"), detector_network.number(scale.get("b_max"), "b_max")],
        "window": [detector_network.whole(one, "roi_size") for one in window.get("roi_size", [])],
        "overlap": detector_network.number(window.get("overlap", 0.25), "overlap"),
    }


def thresholds(config: Config) -> dict[str, float]:
    """The box selection of the bundle, and operating points that nothing has measured."""
    chosen = operation(config, "set_box_selector_parameters")
    names = ("score_thresh", "topk_candidates_per_level", "nms_thresh", "detections_per_img")
    found = {name: detector_network.number(chosen[name], name) for name in names if name in chosen}
    least = {"volume_mm3": LEAST_VOLUME_MM3} if segmentation_networks.wanted(config) else {}
    return {"score": OPERATING_SCORE, "review_score": REVIEW_SCORE, "most_findings": MOST_FINDINGS} | least | found


def inferer(config: Config) -> Mapping[str, Any]:
    """The named arguments of the bundle's SlidingWindowInferer; a segmentation needs one, a detector may look at all at once."""
    found = config.get("inferer")
    if isinstance(found, Call) and found.name == "SlidingWindowInferer":
        return found.kwargs
    if segmentation_networks.wanted(config):
        raise ModelError("the bundle has no SlidingWindowInferer: the window that the network wants cannot be told")
    return {}


def operation(config: Config, name: str) -> Mapping[str, Any]:
    """The named arguments of one of ``detector_ops``; empty where it is not there."""
    for item in config.get("detector_ops") or []:
        if isinstance(item, Call) and item.name == name:
            return item.kwargs
    return {}


def save_weights(folder: Path, built: torch.nn.Module, out: Path) -> None:
    """The weights as safetensors, after they were found to fit the network."""
    tensors = read_weights(folder)
    try:
        built.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelError("the weights do not fit the network of the bundle", hint=str(error).splitlines()[-1].strip()[:200]) from error
    save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, out)
    out.chmod(0o644)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors by name out of model.safetensors or model.pt."""
    if (folder / "model.safetensors").is_file():
        return dict(load_file(folder / "model.safetensors"))
    path = folder / "model.pt"
    if not path.is_file():
        raise ModelError(f"no {path}", hint="bring the bundle's weights: models/model.pt or models/model.safetensors")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles of every kind fail in every way: none of them is run
        raise ModelError("models/model.pt holds more than tensors, and is not loaded", hint=f"({type(error).__name__})") from error
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError("models/model.pt holds no table of tensors")
    return {str(key): value for key, value in found.items()}


def read_about(path: Path) -> dict[str, Any]:
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{path} is not TOML: {error}") from error
    missing = [key for key in MUST_SAY if not said.get(key)]
    if missing:
        raise ModelError(f"{path.name} does not say {', '.join(missing)}", hint="a person must, for no bundle does: see docs/operations.md")
    return said


def card_text(metadata: Config, said: Mapping[str, Any], values: Mapping[str, Any], digest: str) -> str:
    """TOML of a card; ``parse_card`` judges it as it judges any other."""
    given = metadata.values
    card: dict[str, Any] = {
        "version": str(given.get("version", "0")),
        "title": str(given.get("task") or said["name"]),
        "manufacturer": str(given.get("authors") or "not stated by the bundle"),
        "intended_use": f"Research. What its authors say: {given.get('intended_use') or 'nothing'}.",
        "status": "research",
        "task": "detect",
        "unit": "series",
        "weights": "weights.safetensors",
        "weights_sha256": digest,
        "limits": ["Imported from a MONAI bundle: nothing was measured on this node, and the operating point is a guess."],
        "data": [{"name": str(given.get("data_source") or "not stated by the bundle"), "licence": "not stated by the bundle"}],
    }
    card |= {key: said[key] for key in (*TEXTS, "limits", "data", "labels", "tiers") if key in said}
    card |= {"status": "research", "weights_sha256": digest, "weights": "weights.safetensors"}
    card["labels"] = [checked(one, LABEL, "labels") for one in card["labels"]]
    card["data"] = [checked(one, DATA, "data") for one in card["data"]]
    tables = {
        "preprocessing": values["preprocessing"],
        "network": values["network"],
        "thresholds": values["thresholds"] | said.get("thresholds", {}),
        "training": {"bundle_monai_version": str(given.get("monai_version", ""))},
        "metrics": {"measured": f"nothing here; the bundle claims {str(given.get('eval_metrics'))[:400]}"},
    }
    return "\n".join(f"{key_text(key)} = {value_text(value)}" for key, value in (card | tables).items()) + "\n"
