"""A CT series to a volume in Hounsfield units with its place in the patient; what does not fit is named.

Two passes: headers first (nothing is decoded of a series that is refused), then each slice is read, decoded and written into one
preallocated array by a small thread pool. Memory: the array, and one slice's bytes per thread.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import GeometryError, PixelError
from core.policy.series_selection import PROJECTIONS
from core.records import Lps
from imaging.volume.frames import Slice, read_slices, stored_values
from imaging.volume.geometry import along, group_orientations, normal_of, same_places, stack

_HU_LOW, _HU_HIGH = -32768, 32767
_FEW = 3  # slices of another orientation that are taken for unmarked localizers


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume in the patient.

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
        Empty where the slices have no common one: then only 2D locations may be reported.
    notes
        What was dropped or tolerated, in words without patient values.
    positions_mm
        Per slice along Z, as its header has it; () where unknown. The affine evens out what headers round.
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
        """Image Position (Patient) of a slice: as its header has it where that is known, else by the affine."""
        return self.positions_mm[z] if self.positions_mm else self.lps(z, 0, 0)

    def lps(self, z: float, y: float, x: float) -> Lps:
        """Where a voxel (whole index: its centre) lies, LPS mm."""
        point = self.affine @ np.array([x, y, z, 1.0])
        return float(point[0]), float(point[1]), float(point[2])

    def index(self, lps: Lps) -> tuple[float, float, float]:
        """(z, y, x) of a point, as fractions of voxels."""
        x, y, z, _ = np.linalg.solve(self.affine, np.array([*lps, 1.0]))
        return float(z), float(y), float(x)


def read_volume(paths: Sequence[Path], *, threads: int = 2, tilted: bool = False, derived: bool = True) -> Volume:
    """Read one CT series, classic or Enhanced (multi-frame).

    Parameters
    ----------
    paths
        Files of one series in any order.
    threads
        Readers and decoders; codecs work outside the interpreter's lock.
    tilted
        Take a series of a tilted gantry too: its affine is sheared (``imaging.volume.gantry_tilt``).
    derived
        Take a series too that was reformatted or processed before it came, with a note. Projections are never taken.

    Raises
    ------
    GeometryError
        Not CT, projections, or the slices make no volume: too few, a gap, uneven spacing, duplicate position, tilt, mixed orientation,
        pixel spacing or size, or they disagree in patient, accession, study, series or frame of reference. The message says which.
    PixelError
        A slice cannot be decoded.
    CannotUnderstand
        A file is no DICOM.
    """
    notes: list[str] = []
    slices = read_slices([Path(path) for path in paths], notes)
    _same(slices)
    slices = _without_localizers(slices, notes)
    _acquired(slices, notes, derived)
    frame_of_reference = _frame_of_reference(slices, notes)
    _same_grid(slices)
    normal = normal_of(slices[0].orientation)
    slices = _without_duplicates(slices, normal, notes)
    placed = stack(np.array([s.position for s in slices]), normal, tilted=tilted)
    ordered = [slices[i] for i in placed.order]
    hu = _fill(ordered, threads, notes)
    first = ordered[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    dy, dx = first.pixel_spacing_mm
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2], affine[:3, 3] = row * dx, column * dy, placed.step, first.position
    if any(s.lossy for s in ordered):
        notes.append("the images were compressed with loss")
    hu.flags.writeable = False
    return Volume(
        hu=hu,
        affine=affine,
        spacing_mm=(placed.spacing_mm, dy, dx),
        sop_instance_uids=tuple(s.sop_instance_uid for s in ordered),
        frame_numbers=tuple(s.frame for s in ordered),
        frame_of_reference_uid=frame_of_reference,
        notes=tuple(notes),
        positions_mm=tuple(s.position for s in ordered),
    )


def _same(slices: Sequence[Slice]) -> None:
    """One patient, one accession, one study, one series. The values are never named."""
    for attribute, name in (
        ("patient_id", "Patient ID"),
        ("issuer_of_patient_id", "Issuer of Patient ID"),
        ("accession_number", "Accession Number"),
        ("study_instance_uid", "Study Instance UID"),
        ("series_instance_uid", "Series Instance UID"),
    ):
        count = len({getattr(s, attribute) for s in slices})
        if count > 1:
            raise GeometryError(
                f"the instances disagree in {name}: {count} different values", hint="not analysed; correct the series at its source"
            )


def _without_localizers(slices: list[Slice], notes: list[str]) -> list[Slice]:
    """Drop localizers, marked or of another orientation; what remains shares one orientation."""
    kept = [s for s in slices if "LOCALIZER" not in s.image_type]
    if len(kept) < len(slices):
        notes.append(f"{len(slices) - len(kept)} localizer image(s) dropped")
    if len(kept) < 2:
        raise GeometryError(f"too few slices: at least 2 expected, {len(kept)} came")
    homeless = [s for s in kept if not s.placed]
    if homeless:
        raise GeometryError(f"{len(homeless)} of {len(kept)} slices have no position, orientation or pixel spacing")
    groups = group_orientations(np.array([s.orientation for s in kept]))
    others = len(kept) - len(groups[0])
    if others > max(_FEW, len(kept) // 20) or others >= len(groups[0]):
        raise GeometryError(f"mixed orientation: {len(groups)} orientations among {len(kept)} slices", hint="send one reformat per series")
    if others:
        notes.append(f"{others} image(s) of another orientation dropped, taken for localizers")
    return [kept[i] for i in sorted(groups[0])]


def _acquired(slices: Sequence[Slice], notes: list[str], derived: bool) -> None:
    """Projections and renderings are no slices, whatever their positions say; other derived images are noted or refused (C.7.6.1.1.2)."""
    made = sorted({word for s in slices for word in s.image_type if word in PROJECTIONS})
    if made:
        words = ", ".join(made)
        raise GeometryError(f"not slices but projections or renderings (Image Type {words})", hint="send the reconstructed slices")
    count = sum("DERIVED" in s.image_type[:1] or "SECONDARY" in s.image_type[1:2] for s in slices)
    if count and not derived:
        raise GeometryError(f"{count} of {len(slices)} images are derived (Image Type)", hint="send the original slices")
    if count:
        notes.append(f"{count} of {len(slices)} images are derived: reformatted or processed before they came")


def _frame_of_reference(slices: Sequence[Slice], notes: list[str]) -> str:
    """The common one; "" where no two slices share one (each stands alone). Anything between is two places in one series."""
    found = [s.frame_of_reference_uid for s in slices]
    distinct = set(found)
    if len(distinct) == 1:
        if not found[0]:
            notes.append("no Frame of Reference UID: locations on the images only")
        return found[0]
    files = {s.sop_instance_uid for s in slices}
    if len(distinct) == len(files) >= 3 and "" not in distinct:
        notes.append("each image has a Frame of Reference UID of its own: locations on the images only")
        return ""
    raise GeometryError(
        f"the instances disagree in Frame of Reference UID: {len(distinct)} among {len(slices)} slices",
        hint="not analysed; positions of different frames of reference cannot be put together",
    )


def _same_grid(slices: Sequence[Slice]) -> None:
    sizes = {(s.rows, s.columns) for s in slices}
    if len(sizes) > 1:
        raise GeometryError(f"mixed image size: {', '.join(f'{r} x {c}' for r, c in sorted(sizes))}")
    spacings = np.array([s.pixel_spacing_mm for s in slices])
    if (spacings <= 0).any():
        raise GeometryError("Pixel Spacing is not above zero")
    if np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max():
        raise GeometryError(f"mixed pixel spacing: {spacings.min():.4f} to {spacings.max():.4f} mm")


def _without_duplicates(slices: list[Slice], normal: NDArray[np.float64], notes: list[str]) -> list[Slice]:
    """Two images at one place: the same content twice is dropped, two different ones are refused."""
    positions = np.array([s.position for s in slices])
    drop: set[int] = set()
    for group in same_places(along(positions, normal)):
        first = group[0]
        for other in group[1:]:
            same = np.allclose(positions[first], positions[other], atol=0.01) and _same_values(slices[first], slices[other])
            if not same:
                raise GeometryError(
                    f"duplicate position: {len(group)} different images at one place", hint="several phases in one series; send them apart"
                )
            drop.add(other)
    if drop:
        notes.append(f"{len(drop)} image(s) dropped that repeat another one's position and content")
    return [s for i, s in enumerate(slices) if i not in drop]


def _same_values(one: Slice, other: Slice) -> bool:
    values = np.empty((2, one.rows, one.columns), np.int16)
    _hu(one, values[0])
    _hu(other, values[1])
    return bool(np.array_equal(values[0], values[1]))


def _hu(one: Slice, out: NDArray[np.int16]) -> bool:
    """Write a slice's Hounsfield units into ``out``, (Y, X); whether anything was clipped."""
    stored = stored_values(one)
    low, high = one.source.spec.stored_range
    if one.slope == 1 and one.intercept.is_integer() and _within(low, high) and _within(low + one.intercept, high + one.intercept):
        np.add(stored, np.int16(one.intercept), out=out, dtype=np.int16, casting="unsafe")  # the usual case: nothing can overflow
        return False
    if one.slope.is_integer() and one.intercept.is_integer() and abs(one.slope) < 2**14 and abs(one.intercept) < 2**30:
        wide = stored.astype(np.int32)
        if one.slope != 1:
            wide *= int(one.slope)
        wide += int(one.intercept)
        values: NDArray[np.generic] = wide
    else:
        values = np.rint(stored.astype(np.float64) * one.slope + one.intercept)
    clipped = bool(values.min() < _HU_LOW or values.max() > _HU_HIGH)
    if clipped:
        values = np.clip(values, _HU_LOW, _HU_HIGH)
    out[...] = values
    return clipped


def _within(low: float, high: float) -> bool:
    return low >= _HU_LOW and high <= _HU_HIGH


def _fill(ordered: Sequence[Slice], threads: int, notes: list[str]) -> NDArray[np.int16]:
    first = ordered[0]
    try:
        out = np.empty((len(ordered), first.rows, first.columns), np.int16)
    except MemoryError as error:
        raise PixelError(f"{len(ordered)} slices of {first.rows} x {first.columns} do not fit into memory") from error

    def one(index: int) -> bool:
        return _hu(ordered[index], out[index])

    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="slices") as pool:
        clipped = sum(pool.map(one, range(len(ordered))))
    if clipped:
        notes.append(f"values beyond int16 clipped in {clipped} slice(s)")
    return out
