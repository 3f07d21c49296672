"""Decodes images that are no CT slices, such as OCT and ultrasound, into files of the viewer's cache. Runs in a render process only."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from console.viewer.earlier_slices import PIXELS, EarlierSlices, list_slices
from console.viewer.render_unit import BYTES_OF, Report, open_grey, verify_files
from core.errors import GeometryError
from core.policy.own_objects import is_secondary_capture
from imaging.frames.frame_series import SOP_CLASSES, FrameSeries, read_frame_series
from imaging.frames.plane_orientation import plane_orientations
from imaging.headers.instance_header import read_header
from imaging.volume.geometry import group_orientations, slice_normal

MODALITY_OF_CLASS = {uid: modality for modality, classes in SOP_CLASSES.items() for uid in classes}


def frames_modality(files: Sequence[tuple[Path, str]]) -> str | None:
    """How a series is read: the key of `SOP_CLASSES` that its first file names, "" for images of any other kind, None for CT slices.

    A series with one CT image is read as slices: what a scanner captures of its screen is left out there.
    """
    modality = MODALITY_OF_CLASS.get(read_header(files[0][0]).sop_class_uid)
    if modality is not None:
        return modality
    headers = (read_header(path) for path, _ in files)
    return None if any(head.modality == "CT" and not is_secondary_capture(head.sop_class_uid) for head in headers) else ""


def render_frames(
    files: Sequence[tuple[Path, str]], folder: Path, first_uid: str, modality: str, report: Report, earlier: Path | None = None
) -> dict[str, Any]:
    """Write the frames, each reported when it can be read; returns the description. ``earlier`` as in `render_series`.

    Frames with colours are (Z, Y, X, 3) uint8 RGB, and so are all frames of a series where one has colours. Otherwise grey values of 0 to
    255, as the window of the header shows them, (Z, Y, X) int16.
    """
    verify_files(files)
    series = read_frame_series([path for path, _ in files], modality, whole=False)
    spec = series.files[0].spec
    if any((file.spec.rows, file.spec.columns) != (spec.rows, spec.columns) for file in series.files):
        raise GeometryError("frames of different sizes cannot be displayed as one stack")
    shape = len(series.frames), spec.rows, spec.columns
    images = [list(series.place(index)) for index in range(shape[0])]
    values = "colour" if series.is_colour else "grey"
    meta: dict[str, Any] = {
        "kind": "series",
        "values": values,
        "shape": shape,
        "bytes": int(np.prod(shape)) * BYTES_OF[values],
        "spacing_mm": _spacing(series),
        "affine": None,
        "orientation": _common_orientation(series),
        "images": images,
        "first": next((index for index, (uid, _) in enumerate(images) if uid == first_uid), 0),
        "reason": "the frames of this series are shown as a stack",
        "notes": series.notes,
    }
    with (folder / PIXELS).open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, meta["bytes"])  # as in `render_unit`
    pixels = np.memmap(folder / PIXELS, np.uint8, "r+", shape=(*shape, 3)) if series.is_colour else open_grey(folder, shape)
    decoded, hashes = EarlierSlices(earlier, values=values, size=shape[1:]), dict(files)
    keys = [(hashes[series.files[file].path], number) for file, number in series.frames]
    report({"planned": meta})
    for index in sorted(range(shape[0]), key=lambda index: abs(index - meta["first"])):
        if not decoded.take(keys[index], pixels[index]):
            frame = series.rgb(index)
            pixels[index] = frame if series.is_colour else frame[..., 0]
        report({"slice": index})
    list_slices(folder, keys, values=values, size=shape[1:])
    return meta


def _common_orientation(series: FrameSeries) -> list[float] | None:
    """Image Orientation (Patient) of all frames, such as those of MR; None where they have none, a wrong one, or not the same one."""
    found = dict.fromkeys(one for file in series.files for one in plane_orientations(file.header, file.spec.frames))
    known = [list(one) for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    try:
        slice_normal(known[0])
    except (GeometryError, ValueError):
        return None
    return known[0] if len(group_orientations(np.array(known))) == 1 else None


def _spacing(series: FrameSeries) -> tuple[float, float, float]:
    if series.spacing_mm is None:
        return 0.0, 1.0, 1.0
    return series.spacing_mm
