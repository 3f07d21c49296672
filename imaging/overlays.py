"""Outlines and heat map of a result as one small file, which the console's viewer draws over the images.

The file is gzip of JSON: ``{"masks": [{"ordinal", "origin", "shape", "bits"}], "heat": {"shape", "origin", "step", "meaning", "values"}}``,
with ``bits`` and ``values`` in base64. Masks are exact. The heat map is made coarser until it has at most `MOST_VALUES` values, because
it is displayed smoothly: each value is then the largest of its cell, so that no small peak is lost.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.records import Finding, HeatMap
from imaging.masks import GridVector, box_of

MOST_VALUES = 1 << 20
LOWEST_SHOWN = 13  # of 255: lower values are not displayed, and zeros are compressed best


def pack_overlays(findings: Sequence[Finding], heat: HeatMap | None) -> bytes:
    """Return the file for the findings of a result, numbered from 1; b"" where there is neither a mask nor a heat map."""
    masks = [
        {"ordinal": ordinal, "origin": mask.origin, "shape": mask.shape, "bits": base64.b64encode(mask.bits).decode()}
        for ordinal, finding in enumerate(findings, start=1)
        if (mask := finding.mask) is not None
    ]
    packed = None if heat is None else _pack_heat(heat)
    if not masks and packed is None:
        return b""
    text = json.dumps({"masks": masks, "heat": packed}, separators=(",", ":"), default=_python_number)
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def _python_number(value: Any) -> int | float:
    """Positions of a resampled series are numpy's numbers, which JSON does not know."""
    assert isinstance(value, np.generic)
    number: int | float = value.item()
    return number


def _pack_heat(heat: HeatMap) -> dict[str, Any] | None:
    values = np.frombuffer(heat.values, np.uint8).reshape(heat.shape)
    shown = values >= LOWEST_SHOWN
    if not shown.any():
        return None
    spans = [slice(max(0, side.start - 1), side.stop + 1) for side in box_of(shown)]  # one cell more, where the map ends at zero
    first = [span.start for span in spans]
    origin = tuple(o + s * f for o, s, f in zip(heat.origin, heat.step, first, strict=True))
    cropped = np.where(shown, values, 0)[tuple(spans)]
    coarse, origin, step = coarsen(cropped, (origin[0], origin[1], origin[2]), heat.step)
    encoded = base64.b64encode(coarse.tobytes()).decode()
    return {"shape": coarse.shape, "origin": origin, "step": step, "meaning": heat.meaning, "values": encoded}


def coarsen(values: NDArray[np.uint8], origin: GridVector, step: GridVector) -> tuple[NDArray[np.uint8], GridVector, GridVector]:
    """Halve the resolution of a (Z, Y, X) map along its longest axes until it has at most `MOST_VALUES` values.

    Returns
    -------
    The map, and the origin and step of its grid in voxels of the images. Each value is the largest of the two that it replaces.
    """
    places, steps = list(origin), list(step)
    while values.size > MOST_VALUES:
        axis = int(np.argmax(values.shape))
        if values.shape[axis] % 2:
            values = np.pad(values, [(0, int(other == axis)) for other in range(3)])
        pairs = [slice(None)] * 3
        pairs[axis] = slice(0, None, 2)
        following = list(pairs)
        following[axis] = slice(1, None, 2)
        values = np.maximum(values[tuple(pairs)], values[tuple(following)])
        places[axis] += steps[axis] / 2
        steps[axis] *= 2
    return values, (places[0], places[1], places[2]), (steps[0], steps[1], steps[2])
