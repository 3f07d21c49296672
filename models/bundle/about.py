"""Reads the TOML file in which a person states what no bundle does, and checks it against the bundle.

A misspelt key must not silently become a default: an operating point or a temperature that is not taken over changes results.
"""

import difflib
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import ModelError
from models.bundle.config_reader import BundleConfig
from models.bundle.segmentation import foreground_classes
from models.card import Label

REQUIRED = ("name", "licence", "not_for", "looked_for", "labels")
OPTIONAL = ("version", "title", "task", "unit", "manufacturer", "intended_use", "limits", "data", "tiers", "input", "temperature")
TABLES = ("tiers", "input", "thresholds", "frames", "tiles")
SHARES = ("score", "review_score", "score_thresh", "nms_thresh")  # thresholds between 0 and 1
FIX = "correct the file with --about: see docs/models/your-own.md"


def read_about(path: Path) -> dict[str, Any]:
    """The TOML table that a person wrote about the bundle. Raises ModelError where a required key is missing, or one is not known."""
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not TOML: {error}") from error
    known = tuple(dict.fromkeys((*REQUIRED, *OPTIONAL, *TABLES)))
    for key in sorted(set(stated) - set(known)):
        similar = difflib.get_close_matches(key, known, n=1)
        guess = f"; did you mean {similar[0]}?" if similar else ""
        raise ModelError(f"{path.name} has an unknown key {key}{guess}", hint=f"known: {', '.join(known)}")
    missing = [key for key in REQUIRED if not stated.get(key)]
    if missing:
        raise ModelError(
            f"{path.name} does not say {', '.join(missing)}", hint="no bundle states it, so a person must: see docs/models/your-own.md"
        )
    for key in TABLES:
        if not isinstance(stated.get(key, {}), dict):
            raise ModelError(f"{path.name}: {key} is a table", hint=FIX)
    return stated


def merge_thresholds(defaults: Mapping[str, float], stated: Mapping[str, Any], more: Sequence[str] = ()) -> dict[str, Any]:
    """The thresholds of a card. ``more``: names that may be stated and have no default.

    Raises
    ------
    ModelError
        A threshold that this kind of network does not have, or one that is no number or out of range.
    """
    known = {*defaults, *more}
    for name, value in stated.items():
        if name not in known:
            raise ModelError(f"thresholds has an unknown key {name}; known: {', '.join(sorted(known))}", hint=FIX)
        if type(value) not in (int, float) or not math.isfinite(value) or value < 0 or (name in SHARES and value > 1):
            between = "between 0 and 1" if name in SHARES else "of at least 0"
            raise ModelError(f"thresholds.{name} is a number {between}, not {value!r}", hint=FIX)
    return {**defaults, **stated}


def check_labels(labels: Sequence[Label], network: Mapping[str, Any], metadata: BundleConfig, about: str) -> None:
    """Check that the card's labels are those of the network's outputs, in their order, as far as the bundle's metadata names them.

    Raises
    ------
    ModelError
        Another number of labels, or a label that the metadata names for another output.
    """
    background = 1 if "out_channels" in network and network["activation"] == "softmax" else 0
    classes, exact = expected_labels(network)
    if len(labels) < classes or (exact and len(labels) > classes):
        hint = "one for each output, in its order; of a segmentation without the background"
        raise ModelError(f"the network has {classes} outputs, and {about} has {len(labels)} [[labels]]", hint=hint)
    outputs = {_plain(name): number - background for number, name in channel_names(metadata).items()}
    for number, label in enumerate(labels):
        place = outputs.get(_plain(label.name), number)
        if place != number:
            where = "network_data_format.outputs.pred.channel_def"
            raise ModelError(
                f"{label.name!r} is label {number + 1}, and the bundle names it as output {place + 1} ({where})",
                hint="write the labels in the order of the network's outputs, without the background",
            )


def expected_labels(network: Mapping[str, Any]) -> tuple[int, bool]:
    """How many labels a network needs, and whether more would be wrong."""
    if "classes" in network:
        return int(network["classes"]), True
    if "out_channels" in network:
        return foreground_classes(network), True
    return int(network["num_classes"]), False


def channel_names(metadata: BundleConfig) -> dict[int, str]:
    """The names of the network's outputs by their number, as MONAI's metadata has them; empty where they are not stated so."""
    found: Any = metadata.values
    for key in ("network_data_format", "outputs", "pred", "channel_def"):
        found = found.get(key) if isinstance(found, Mapping) else None
    named = found.items() if isinstance(found, Mapping) else ()
    return {int(number): str(name) for number, name in named if str(number).isdecimal()}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
