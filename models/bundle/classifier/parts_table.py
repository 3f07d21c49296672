"""Reads what a person states about the frames or tiles of a classifier: their number and size, and how their values are put together."""

from collections.abc import Mapping
from typing import Any

from core.errors import ModelError
from models.bundle.allow_list import number, whole_number
from models.bundle.classifier.aggregate import aggregation_rule

FRAMES = {"top": 0, "most": 5000}
"""Defaults of ``[frames]``: ``top`` parts of highest score are averaged (0: all), and a unit may have ``most`` parts."""
TILES = {"top": 10, "most": 50_000, "size": 224, "least_tissue": 0.1}
"""Defaults of ``[tiles]``: also the ``size`` in pixels, and the share of tissue below which a tile is left out."""
PIXEL_SIZES = ("pixel_um", "magnification")
PIXEL_UM_AT_ONE = 10.0
"""Pixel size in micrometres at a magnification of 1, as scanners state it: 0.5 at 20x, 0.25 at 40x."""
FIX = "correct the file with --about: see docs/models/your-own.md"


def read_parts(stated: Mapping[str, Any], modality: str, dims: int) -> dict[str, Any]:
    """The values for the card's pre-processing; empty for single images and volumes. Raises ModelError."""
    if modality == "SM" and dims != 2:
        raise ModelError("a classifier of whole slides has 2 spatial_dims", hint="networks for volumes run on CT, OPT and US")
    table = "tiles" if modality == "SM" else "frames" if modality and dims == 2 else ""
    for name, of in (("frames", "OPT or US"), ("tiles", "SM")):
        if name in stated and name != table:
            raise ModelError(f"[{name}] is for classifiers in 2D with input.modality {of}", hint=FIX)
    given = stated.get(table, {})
    if table == "tiles":
        return _read_tiles(given)
    return _read_counts(given, table, FRAMES) if table else {}


def _read_tiles(given: Mapping[str, Any]) -> dict[str, Any]:
    values = _read_counts({key: value for key, value in given.items() if key not in PIXEL_SIZES}, "tiles", TILES)
    sizes = [key for key in PIXEL_SIZES if key in given]
    if len(sizes) != 1:
        raise ModelError("[tiles] needs either pixel_um or magnification: the size of the pixels that the network was trained on", hint=FIX)
    value = number(given[sizes[0]], f"tiles.{sizes[0]}")
    if value <= 0:
        raise ModelError(f"tiles.{sizes[0]} is above 0, not {value:g}", hint=FIX)
    pixel_um = value if sizes[0] == "pixel_um" else PIXEL_UM_AT_ONE / value
    return {"pixel_um": pixel_um, "magnification": PIXEL_UM_AT_ONE / pixel_um, "tile": values.pop("size"), **values}


def _read_counts(given: Mapping[str, Any], table: str, defaults: Mapping[str, float]) -> dict[str, Any]:
    """The whole numbers of a table, and its share of tissue."""
    if unknown := sorted(set(given) - set(defaults)):
        known = (*PIXEL_SIZES, *defaults) if table == "tiles" else defaults
        raise ModelError(f"[{table}] has an unknown key {unknown[0]}; known: {', '.join(known)}", hint=FIX)
    values: dict[str, Any] = {}
    for key, default in defaults.items():
        read = number if key == "least_tissue" else whole_number
        values[key] = read(given.get(key, default), f"{table}.{key}")
    if values["top"] < 0 or values["most"] < 1 or values.get("size", 1) < 1 or not 0 <= values.get("least_tissue", 0) <= 1:
        raise ModelError(f"{table}.top is 0 or more, {table}.most and size at least 1, and least_tissue between 0 and 1", hint=FIX)
    return values | {"aggregation": aggregation_rule(values["top"], table.removesuffix("s"))}
