"""Reads what a person states about the frames of a classifier: how many there may be, and how their values are put together."""

from collections.abc import Mapping
from typing import Any

from core.errors import ModelError
from models.bundle.allow_list import whole_number

FRAMES = {"top": 0, "most": 5000}
"""Defaults of ``[frames]``: ``top`` parts of highest score are averaged (0: all), and a unit may have ``most`` parts."""
FIX = "correct the file with --about: see docs/models/your-own.md"


def read_parts(stated: Mapping[str, Any], modality: str, dims: int) -> dict[str, Any]:
    """The values for the card's pre-processing; empty for single images and volumes. Raises ModelError."""
    table = "frames" if modality in ("OPT", "US") and dims == 2 else ""
    for name in ({"frames"} - {table}) & set(stated):
        raise ModelError(f"[{name}] is for classifiers in 2D with input.modality OPT or US", hint=FIX)
    return _read_frames(stated.get("frames", {})) if table else {}


def _read_frames(given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(given) - set(FRAMES)):
        raise ModelError(f"[frames] has an unknown key {unknown[0]}; known: {', '.join(FRAMES)}", hint=FIX)
    values = {key: whole_number(given.get(key, default), f"frames.{key}") for key, default in FRAMES.items()}
    if values["top"] < 0 or values["most"] < 1:
        raise ModelError("frames.top is 0 or more, and frames.most at least 1", hint=FIX)
    return values
