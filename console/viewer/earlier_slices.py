"""Takes over slices that an earlier rendering of the same unit has decoded, so that a series that grows is decoded once.

A rendering of slices leaves a list of them beside its pixels: the SHA-256 of the file and the frame of each. A slice of the same file
and frame has the same pixels in every rendering whose values are of the same kind and size.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.frames.held_file import HeldFile

PIXELS, SLICES = "pixels", "slices.json"
SliceKey = tuple[str, int]
"""SHA-256 of the file, and the frame in it, from 1."""


class EarlierSlices:
    """The slices in the folder of an earlier rendering; none where ``folder`` is None, or its slices are of another kind or size.

    The file of the pixels stays open, so that the cache may remove the folder meanwhile.
    """

    def __init__(self, folder: Path | None, *, values: str, size: tuple[int, int]) -> None:
        self._places: dict[SliceKey, int] = {}
        if folder is None:
            return
        with suppress(OSError, ValueError):
            described = json.loads((folder / SLICES).read_text())
            if (described["values"], *described["size"]) == (values, *size):
                self._pixels = HeldFile(folder / PIXELS)
                self._places = {(sha256, frame): place for place, (sha256, frame) in enumerate(described["slices"])}

    def take(self, key: SliceKey, out: NDArray[np.generic]) -> bool:
        """Fill ``out``, one slice of the new rendering, and return True; False where the slice has to be decoded."""
        if (place := self._places.get(key)) is None:
            return False
        content = self._pixels.read(place * out.nbytes, out.nbytes)
        if len(content) == out.nbytes:
            out[...] = np.frombuffer(content, out.dtype).reshape(out.shape)
        return len(content) == out.nbytes


def list_slices(folder: Path, keys: Sequence[SliceKey], *, values: str, size: tuple[int, int]) -> None:
    """Write the list of the slices of a rendering, when all of them are decoded."""
    (folder / SLICES).write_text(json.dumps({"values": values, "size": size, "slices": keys}))


def contained_renderings(folders: Sequence[Path]) -> set[Path]:
    """Return those of ``folders``, renderings of one unit, whose slices all lie in a larger one, which can give them without decoding."""
    described = {folder: found for folder in folders if (found := _described_slices(folder)) is not None}
    return {
        folder
        for folder, (kind, slices) in described.items()
        if any(kind == other and slices < others for other, others in described.values())
    }


def _described_slices(folder: Path) -> tuple[tuple[Any, ...], frozenset[SliceKey]] | None:
    """Return kind and size of the values of a rendering, and its slices; None where it has no list of them."""
    try:
        described = json.loads((folder / SLICES).read_text())
    except (OSError, ValueError):
        return None
    return (described["values"], *described["size"]), frozenset((sha256, frame) for sha256, frame in described["slices"])
