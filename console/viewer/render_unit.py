"""Decodes one unit into files of the viewer's cache, by the functions that decode it for the models. Runs in a render process only.

A series becomes ``pixels``: int16 Hounsfield units (Z, Y, X), little-endian, in the order of `imaging.volume.volume.read_volume`. A
series of other images becomes ``pixels`` of grey values or colours (`render_frames`), a photograph ``picture.png``: 8-bit sRGB without
loss. The description of either lies beside it.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from console.viewer.earlier_slices import PIXELS, EarlierSlices, list_slices
from core.counted import counted
from core.errors import GeometryError, StorageError
from imaging.photograph.read import read_photograph
from imaging.volume.ct_slices import CtSlice, Orientation, read_slices
from imaging.volume.geometry import distances_along_normal, slice_normal
from imaging.volume.hounsfield import write_hounsfield
from imaging.volume.volume import VolumePlan, plan_volume

Report = Callable[[dict[str, Any]], None]
Pause = Callable[[], object]
PICTURE = "picture.png"
BYTES_OF = {"HU": 2, "grey": 2, "colour": 3}
"""Bytes of a pixel, by what the values of a series are: Hounsfield units and grey values are int16, colours RGB of 8 bits each."""
THREADS = 2


def verify_files(files: Sequence[tuple[Path, str]]) -> None:
    """Compare each file with the hash that it had when it was received. Raises `StorageError` if one is missing or altered."""
    for path, sha256 in files:
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise StorageError("an image file is missing", hint="does the console see node.data_dir/blobs?") from error
        if found != sha256:
            raise StorageError("an image file is altered: it is not what was received", hint="restore it from the PACS or a backup")


def render_series(
    files: Sequence[tuple[Path, str]], folder: Path, first_uid: str, report: Report, pause: Pause, earlier: Path | None = None
) -> dict[str, Any]:
    """Decode a series, the image ``first_uid`` first and then those near it; each slice is reported when it can be read.

    ``pause`` returns when the others are to be decoded: at once, they would take the processor from the browser that draws the first one.
    ``earlier`` is the folder of an earlier rendering of the same unit: its slices are taken over.

    Returns the description of the series, with the notes on what was tolerated. A series that makes no volume is shown as a stack of
    images, with the reason.
    """
    hashes = dict(files)
    paths = list(hashes)
    try:
        plan, reason = plan_volume(paths, tilted=True), ""
    except GeometryError as error:
        plan, reason = plan_stack(paths), str(error)
    slices = plan.slices
    uids = [s.sop_instance_uid for s in slices]
    first = uids.index(first_uid) if first_uid in uids else len(slices) // 2
    shape = len(slices), slices[0].rows, slices[0].columns
    meta: dict[str, Any] = {
        "kind": "series",
        "values": "HU",
        "shape": shape,
        "bytes": int(np.prod(shape)) * BYTES_OF["HU"],
        "spacing_mm": plan.spacing_mm,
        "affine": None if reason else plan.affine.tolist(),
        "orientation": _common_orientation(slices) if reason else None,
        "images": [[s.sop_instance_uid, s.frame] for s in slices],
        "first": first,
        "reason": reason,
        "notes": plan.notes,
    }
    with (folder / PIXELS).open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, meta["bytes"])  # a full disk is an error here, not a signal while pixels are written
    pixels = open_grey(folder, shape)
    decoded, keys = EarlierSlices(earlier, values="HU", size=shape[1:]), [(hashes[s.source.path], s.frame) for s in slices]
    report({"planned": meta})

    def fill(z: int) -> int:
        path = slices[z].source.path
        if slices[z].frame == 1:
            verify_files([(path, hashes[path])])
        if not decoded.take(keys[z], pixels[z]):
            write_hounsfield(slices[z], pixels[z])
        return z

    report({"slice": fill(first)})  # alone, so that it can be displayed as soon as possible
    pause()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="slices") as pool:
        outward = sorted((z for z in range(len(slices)) if z != first), key=lambda z: abs(z - first))
        for done in as_completed([pool.submit(fill, z) for z in outward]):
            report({"slice": done.result()})
    list_slices(folder, keys, values="HU", size=shape[1:])
    return meta


def open_grey(folder: Path, shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """The pixels of slices without colours, (Z, Y, X), to be written."""
    return np.memmap(folder / PIXELS, "<i2", "r+", shape=shape)


def plan_stack(paths: Sequence[Path]) -> VolumePlan:
    """Put slices that make no volume in an order: by position where all have one, else as given. Raises as `read_slices` does."""
    notes: list[str] = []
    read = [s for s in read_slices(list(paths), notes) if s.rows and s.columns]
    if not read:
        raise GeometryError("no image to display: at least 1 slice expected, 0 came")
    (rows, columns), count = Counter((s.rows, s.columns) for s in read).most_common(1)[0]
    slices = [s for s in read if (s.rows, s.columns) == (rows, columns)]
    if count < len(read):
        notes.append(f"not displayed: {counted(len(read) - count, 'image')} of another size")
    if all(s.has_geometry for s in slices):
        normal = slice_normal(slices[0].orientation)
        order = np.argsort(distances_along_normal(np.array([s.position for s in slices]), normal), kind="stable")
        slices = [slices[i] for i in order]
    dy, dx = _spacing(slices)
    return VolumePlan(tuple(slices), np.eye(4), (0.0, dy, dx), "", tuple(notes))


def _common_orientation(slices: Sequence[CtSlice]) -> Orientation | None:
    """Image Orientation (Patient) of a stack; None where the images have none, or not the same one: the viewer then shows no letters."""
    found = {s.orientation for s in slices if s.has_geometry}
    return found.pop() if len(found) == 1 and all(s.has_geometry for s in slices) else None


def _spacing(slices: Sequence[CtSlice]) -> tuple[float, float]:
    dy, dx = slices[0].pixel_spacing_mm
    return (dy, dx) if dy > 0 and dx > 0 else (1.0, 1.0)


def render_photograph(files: Sequence[tuple[Path, str]], folder: Path) -> dict[str, Any]:
    """Decode a photograph, or another single image with or without colours, to a PNG; returns its description."""
    verify_files(files)
    photograph = read_photograph(files[0][0], grey=True)
    Image.fromarray(photograph.rgb).save(folder / PICTURE, compress_level=1)
    rows, columns = photograph.rgb.shape[:2]
    return {
        "kind": "image",
        "shape": (1, rows, columns),
        "bytes": (folder / PICTURE).stat().st_size,
        "spacing_mm": photograph.pixel_spacing_mm,
        "notes": photograph.notes,
    }
