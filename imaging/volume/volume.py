"""A CT series as a volume in Hounsfield units with its position in the patient.

Two passes: headers are read and checked first, so that nothing is decoded of a series that is refused; then each slice is read,
decoded and written into one preallocated array.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.records import Lps
from imaging.volume.ct_slices import CtSlice, read_slices
from imaging.volume.geometry import slice_normal, stack_slices
from imaging.volume.hounsfield import fill_hounsfield
from imaging.volume.series_checks import (
    check_acquired,
    check_one_series,
    check_same_grid,
    common_frame_of_reference,
    drop_duplicates,
    drop_localizers,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Volume:
    """A CT volume.

    Attributes
    ----------
    hu
        (Z, Y, X) int16, Hounsfield units; Z along the slice normal.
    affine
        (4, 4) float64: (x, y, z index, 1) to LPS mm of the voxel's centre.
    spacing_mm
        (z, y, x).
    sop_instance_uids, frame_numbers
        Per slice along Z; frame numbers from 1.
    frame_of_reference_uid
        "" if the slices have no common one: then only 2D locations may be reported.
    notes
        What was dropped or tolerated, in words without patient values.
    positions_mm
        Image Position (Patient) per slice along Z, as in its header; () where unknown. The affine evens out what headers round.
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    sop_instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...]
    frame_of_reference_uid: str
    notes: tuple[str, ...]
    positions_mm: tuple[Lps, ...] = ()

    def corner(self, z: int) -> Lps:
        """Image Position (Patient) of a slice: from its header where that is known, else by the affine."""
        return self.positions_mm[z] if self.positions_mm else self.lps(z, 0, 0)

    def lps(self, z: float, y: float, x: float) -> Lps:
        """The position of a voxel, LPS mm. Whole indices are voxel centres."""
        point = self.affine @ np.array([x, y, z, 1.0])
        return float(point[0]), float(point[1]), float(point[2])

    def index(self, lps: Lps) -> tuple[float, float, float]:
        """(z, y, x) index of a position in LPS mm, as fractions of voxels."""
        x, y, z, _ = np.linalg.solve(self.affine, np.array([*lps, 1.0]))
        return float(z), float(y), float(x)


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """The slices of a volume in their order, checked and not decoded yet.

    Attributes
    ----------
    slices
        Along Z, as in `Volume`.
    affine, spacing_mm, frame_of_reference_uid, notes
        As in `Volume`.
    """

    slices: tuple[CtSlice, ...]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    frame_of_reference_uid: str
    notes: tuple[str, ...]


def plan_volume(paths: Sequence[Path], *, tilted: bool = False, derived: bool = True) -> VolumePlan:
    """Read and check the headers of one CT series; parameters and errors are those of `read_volume`."""
    notes: list[str] = []
    slices = read_slices([Path(path) for path in paths], notes)
    check_one_series(slices)
    slices = drop_localizers(slices, notes)
    check_acquired(slices, notes, derived_allowed=derived)
    frame_of_reference = common_frame_of_reference(slices, notes)
    check_same_grid(slices)
    normal = slice_normal(slices[0].orientation)
    slices = drop_duplicates(slices, normal, notes)
    stack = stack_slices(np.array([s.position for s in slices]), normal, tilted=tilted)
    ordered = tuple(slices[i] for i in stack.order)
    first = ordered[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    dy, dx = first.pixel_spacing_mm
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = row * dx, column * dy, stack.step, first.position
    return VolumePlan(ordered, affine, (stack.spacing_mm, dy, dx), frame_of_reference, tuple(notes))


def read_volume(paths: Sequence[Path], *, threads: int = 2, tilted: bool = False, derived: bool = True) -> Volume:
    """Read one CT series, classic or Enhanced (multi-frame).

    Parameters
    ----------
    paths
        Files of one series in any order.
    threads
        Threads that read and decode; codecs release the interpreter's lock.
    tilted
        Accept a series of a tilted gantry: its affine is sheared (`imaging.volume.gantry_tilt`).
    derived
        Accept a series that was reformatted or processed before it came, with a note. Projections are never accepted.

    Raises
    ------
    GeometryError
        Not CT, projections, or the slices make no volume: too few, a gap, uneven spacing, duplicate position, tilt, mixed orientation,
        pixel spacing or size, or they disagree in patient, accession, study, series or frame of reference. The message says which.
    PixelError
        A slice cannot be decoded.
    CannotUnderstand
        A file is not DICOM.
    """
    plan = plan_volume(paths, tilted=tilted, derived=derived)
    notes = list(plan.notes)
    hu = fill_hounsfield(plan.slices, threads, notes)
    if any(s.lossy for s in plan.slices) or any(source.is_lossy() for source in {s.source for s in plan.slices}):
        notes.append("the images were compressed with loss")
    hu.flags.writeable = False
    return Volume(
        hu=hu,
        affine=plan.affine,
        spacing_mm=plan.spacing_mm,
        sop_instance_uids=tuple(s.sop_instance_uid for s in plan.slices),
        frame_numbers=tuple(s.frame for s in plan.slices),
        frame_of_reference_uid=plan.frame_of_reference_uid,
        notes=tuple(notes),
        positions_mm=tuple(s.position for s in plan.slices),
    )
