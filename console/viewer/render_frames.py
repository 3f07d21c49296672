"""Decodes the frames of OCT and ultrasound into files of the viewer's cache. Runs in a render process only."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from console.viewer.render_unit import PIXELS, Report, verify_files
from core.errors import GeometryError
from imaging.frames.frame_series import SOP_CLASSES, FrameSeries, read_frame_series
from imaging.headers.instance_header import read_header

MODALITY_OF_CLASS = {uid: modality for modality, classes in SOP_CLASSES.items() for uid in classes}


def frames_modality(files: Sequence[tuple[Path, str]]) -> str:
    """The key of `SOP_CLASSES` by which a series is read, as its first file says; "" for a series of slices."""
    return MODALITY_OF_CLASS.get(read_header(files[0][0]).sop_class_uid, "")


def render_frames(files: Sequence[tuple[Path, str]], folder: Path, first_uid: str, modality: str, report: Report) -> dict[str, Any]:
    """Write the frames as grey values 0 to 255, (Z, Y, X) int16, each reported when it can be read; returns the description."""
    verify_files(files)
    series = read_frame_series([path for path, _ in files], modality, whole=False)
    spec = series.files[0].spec
    if any((file.spec.rows, file.spec.columns) != (spec.rows, spec.columns) for file in series.files):
        raise GeometryError("frames of different sizes cannot be displayed as one stack")
    shape = len(series.frames), spec.rows, spec.columns
    images = [list(series.place(index)) for index in range(shape[0])]
    meta: dict[str, Any] = {
        "kind": "series",
        "shape": shape,
        "bytes": int(np.prod(shape)) * 2,
        "spacing_mm": _spacing(series),
        "affine": None,
        "images": images,
        "first": next((index for index, (uid, _) in enumerate(images) if uid == first_uid), 0),
        "reason": "the frames of this series are shown as a stack",
        "notes": series.notes,
    }
    with (folder / PIXELS).open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, meta["bytes"])  # as in `render_unit`
    pixels = np.memmap(folder / PIXELS, "<i2", "r+", shape=shape)
    report({"planned": meta})
    for index in sorted(range(shape[0]), key=lambda index: abs(index - meta["first"])):
        pixels[index] = series.rgb(index).mean(axis=2)
        report({"slice": index})
    return meta


def _spacing(series: FrameSeries) -> tuple[float, float, float]:
    if series.spacing_mm is None:
        return 0.0, 1.0, 1.0
    return series.spacing_mm
