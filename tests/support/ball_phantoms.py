"""Series with a bright ball at a known position in the patient, in any orientation, computed with the formula of the standard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tests.support import series

RADIUS_MM = 7.0
BRIGHT = 3000  # stored value; everything else is far below


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Geometry of a series.

    Attributes
    ----------
    row, column
        Direction cosines.
    spacing_mm
        Between rows, columns and slices.
    changes
        Other elements of the header.
    tilt_degrees
        Tilt of the gantry, by which the slices are shifted along the columns.
    """

    row: tuple[float, float, float] = (1, 0, 0)
    column: tuple[float, float, float] = (0, 1, 0)
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 2.0)
    changes: dict[str, object] = field(default_factory=dict)
    tilt_degrees: float = 0.0

    @property
    def step(self) -> NDArray[np.float64]:
        """Vector from slice to slice, mm."""
        sideways = np.tan(np.radians(self.tilt_degrees)) * np.array(self.column, float)
        return np.asarray(self.spacing_mm[2] * (self.normal + sideways))

    @property
    def orientation(self) -> list[float]:
        """Image Orientation (Patient)."""
        return [round(value, 6) for value in (*self.row, *self.column)]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Normal of the slices."""
        return np.cross(self.row, self.column)


def _turned(degrees: float, about: Sequence[float]) -> NDArray[np.float64]:
    """Return a rotation matrix (Rodrigues)."""
    axis = np.asarray(about, float) / np.linalg.norm(about)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _oblique() -> Acquisition:
    turned = _turned(25, (0.3, 1, 0.2))
    return Acquisition(tuple(turned @ (1, 0, 0)), tuple(turned @ (0, 1, 0)))


ACQUISITIONS = {
    "axial": Acquisition(),
    "oblique": _oblique(),
    "sagittal": Acquisition((0, 1, 0), (0, 0, -1)),
    "coronal": Acquisition((1, 0, 0), (0, 0, -1)),
    "feet first": Acquisition((-1, 0, 0), (0, 1, 0), changes={"PatientPosition": "FFS"}),
    "prone": Acquisition((-1, 0, 0), (0, -1, 0), changes={"PatientPosition": "HFP"}),
    "feet first, prone": Acquisition((1, 0, 0), (0, -1, 0), changes={"PatientPosition": "FFP"}),
    "decubitus right": Acquisition((0, 1, 0), (-1, 0, 0), changes={"PatientPosition": "HFDR"}),
    "decubitus left": Acquisition((0, -1, 0), (1, 0, 0), changes={"PatientPosition": "HFDL"}),
    "non-square pixels": Acquisition(spacing_mm=(2.2, 1.1, 3.0)),
    "oblique, non-square pixels": Acquisition(_oblique().row, _oblique().column, (2.2, 1.1, 1.7)),
}
TILTED = {
    "tilted": Acquisition(tilt_degrees=15.0),
    "tilted the other way": Acquisition(tilt_degrees=-22.5, spacing_mm=(0.9, 0.9, 3.0)),
    "tilted, non-square pixels, oblique": Acquisition(_oblique().row, _oblique().column, (2.2, 1.1, 1.7), tilt_degrees=12.0),
    "tilted, feet first": Acquisition((-1, 0, 0), (0, 1, 0), changes={"PatientPosition": "FFS"}, tilt_degrees=30.0),
}


def pixel_positions_mm(dataset: Dataset, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (..., 3) patient coordinates of pixel centres by PS3.3 C.7.6.2.1.1, without code of the product."""
    row, column = np.array(dataset.ImageOrientationPatient[:3], float), np.array(dataset.ImageOrientationPatient[3:], float)
    between_rows, between_columns = (float(value) for value in dataset.PixelSpacing)
    origin = np.array(dataset.ImagePositionPatient, float)
    return origin + columns[..., None] * between_columns * row + rows[..., None] * between_rows * column


def draw_ball(dataset: Dataset, centre: Sequence[float], bright: int = BRIGHT) -> None:
    """Set every pixel of the slice whose centre is inside the ball."""
    pixels = np.frombuffer(dataset.PixelData, np.int16).reshape(dataset.Rows, dataset.Columns).copy()
    rows, columns = np.mgrid[: dataset.Rows, : dataset.Columns].astype(float)
    inside = np.linalg.norm(pixel_positions_mm(dataset, rows, columns) - np.asarray(centre, float), axis=-1) <= RADIUS_MM
    pixels[inside] = bright
    dataset.PixelData = pixels.tobytes()


def ball_series(acquisition: Acquisition, centre: Sequence[float], *, slices: int = 18, side: int = 40) -> list[Dataset]:
    """Return ``slices`` images. The ball is inside, off the middle; instance numbers run against the direction of the normal."""
    between_rows, between_columns, step = acquisition.spacing_mm
    corner = (
        np.asarray(centre, float)
        - 0.4 * side * between_columns * np.array(acquisition.row)
        - 0.6 * side * between_rows * np.array(acquisition.column)
        - 0.45 * slices * acquisition.step
    )
    made = []
    for index in range(slices):
        position = [round(float(value), 4) for value in corner + index * acquisition.step]
        dataset = series.image(
            number=slices - index,
            side=side,
            thickness=step,
            FrameOfReferenceUID=f"{series.ROOT}.7",
            ImagePositionPatient=position,
            ImageOrientationPatient=acquisition.orientation,
            PixelSpacing=[between_rows, between_columns],
            **acquisition.changes,
        )
        draw_ball(dataset, centre)
        made.append(dataset)
    return made


def write(folder: Path, datasets: Iterable[Dataset]) -> list[Path]:
    """Write the images to files; return their paths."""
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths
