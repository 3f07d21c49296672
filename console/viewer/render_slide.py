"""Draws a whole slide as one picture for the viewer's cache. Runs in a render process only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from console.viewer.render_unit import PICTURE, verify_files
from core.policy.admission import WHOLE_SLIDE
from imaging.headers.instance_header import read_header
from imaging.slide.slide import read_slide


def is_slide(files: Sequence[tuple[Path, str]]) -> bool:
    """Whether a series is a whole slide, as its first file says."""
    return read_header(files[0][0]).sop_class_uid == WHOLE_SLIDE


def render_slide(files: Sequence[tuple[Path, str]], folder: Path) -> dict[str, Any]:
    """Draw the overview on which the heat map lies; returns its description.

    ``levels``: for each instance of the pyramid the rows and columns of the overview for one of its own, by which findings are placed.
    """
    verify_files(files)
    slide = read_slide([path for path, _ in files], whole=False)  # what is there is shown
    Image.fromarray(slide.overview).save(folder / PICTURE, compress_level=1)
    rows, columns = slide.overview.shape[:2]
    finest = slide.levels[0]
    down, across = slide.overview_scale(finest)
    return {
        "kind": "image",
        "shape": (1, rows, columns),
        "bytes": (folder / PICTURE).stat().st_size,
        "spacing_mm": (finest.spacing_mm[0] / down, finest.spacing_mm[1] / across),
        "levels": {uid: slide.overview_scale(level) for level in slide.levels for uid in level.sop_instance_uids},
        "notes": slide.notes,
    }
