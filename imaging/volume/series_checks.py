"""Checks that the slices of a CT series belong together. What does not fit is dropped with a note, or refused with `GeometryError`.

Messages name the attribute in which slices differ, never its values: they are stored and shown.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.counted import counted
from core.errors import GeometryError
from core.policy.routes.series_selection import PROJECTIONS
from core.policy.slice_coverage import names_localizer
from core.uids import may_be_referred_to
from imaging.volume.ct_slices import CtSlice
from imaging.volume.geometry import distances_along_normal, group_orientations, group_same_positions
from imaging.volume.hounsfield import have_equal_values

_MAX_UNMARKED_LOCALIZERS = 3  # or a twentieth of the series, where that is more

# Attributes of CtSlice that all slices share, with their names in DICOM.
_SHARED_ATTRIBUTES = (
    ("patient_id", "Patient ID"),
    ("issuer_of_patient_id", "Issuer of Patient ID"),
    ("accession_number", "Accession Number"),
    ("study_instance_uid", "Study Instance UID"),
    ("series_instance_uid", "Series Instance UID"),
)


def check_one_series(slices: Sequence[CtSlice]) -> None:
    """Check that all slices are of one patient, accession, study and series."""
    for attribute, name in _SHARED_ATTRIBUTES:
        count = len({getattr(s, attribute) for s in slices})
        if count > 1:
            raise GeometryError(
                f"the instances disagree in {name}: {count} different values", hint="not analysed; correct the series at its source"
            )


def drop_localizers(slices: list[CtSlice], notes: list[str]) -> list[CtSlice]:
    """The slices without localizers, marked as such or of another orientation; what remains has one orientation."""
    kept = [s for s in slices if not names_localizer(s.image_type)]
    if len(kept) < len(slices):
        notes.append(f"{counted(len(slices) - len(kept), 'localizer image')} dropped")
    if len(kept) < 2:
        raise GeometryError(f"too few slices: at least 2 expected, {len(kept)} came")
    without_geometry = sum(not s.has_geometry for s in kept)
    if without_geometry:
        have = "has" if without_geometry == 1 else "have"
        raise GeometryError(f"{without_geometry} of {len(kept)} slices {have} no position, orientation or pixel spacing")
    groups = group_orientations(np.array([s.orientation for s in kept]))
    others = len(kept) - len(groups[0])
    if others > max(_MAX_UNMARKED_LOCALIZERS, len(kept) // 20) or others >= len(groups[0]):
        raise GeometryError(f"mixed orientation: {len(groups)} orientations among {len(kept)} slices", hint="send one reformat per series")
    if others:
        notes.append(f"{counted(others, 'image')} of another orientation dropped, taken for localizers")
    return [kept[i] for i in sorted(groups[0])]


def check_acquired(slices: Sequence[CtSlice], notes: list[str], *, derived_allowed: bool) -> None:
    """Refuse projections and renderings, which are not slices; note or refuse other derived images (PS3.3 C.7.6.1.1.2)."""
    projections = sorted({word for s in slices for word in s.image_type if word in PROJECTIONS})
    if projections:
        raise GeometryError(
            f"not slices but projections or renderings (Image Type {', '.join(projections)})", hint="send the reconstructed slices"
        )
    derived = sum("DERIVED" in s.image_type[:1] or "SECONDARY" in s.image_type[1:2] for s in slices)
    words = f"{derived} of {len(slices)} images {'is' if derived == 1 else 'are'}"
    if derived and not derived_allowed:
        raise GeometryError(f"{words} derived (Image Type)", hint="send the original slices")
    if derived:
        notes.append(f"{words} derived: reformatted or processed before they came")


def common_frame_of_reference(slices: Sequence[CtSlice], notes: list[str]) -> str:
    """The Frame of Reference UID that all slices share; "" if no two files share one, or if it is no UID, which no result may hold.

    Positions of slices with different frames of reference cannot be compared, so anything in between is refused.
    """
    uids = [s.frame_of_reference_uid for s in slices]
    distinct = set(uids)
    if len(distinct) == 1:
        if not uids[0]:
            notes.append("no Frame of Reference UID: locations on the images only")
        elif not may_be_referred_to(uids[0]):
            notes.append("the Frame of Reference UID is not valid: locations on the images only")
            return ""
        return uids[0]
    files = {s.sop_instance_uid for s in slices}
    if len(distinct) == len(files) >= 3 and "" not in distinct:
        notes.append("each image has a Frame of Reference UID of its own: locations on the images only")
        return ""
    raise GeometryError(
        f"the instances disagree in Frame of Reference UID: {len(distinct)} among {len(slices)} slices",
        hint="not analysed; positions of different frames of reference cannot be put together",
    )


def check_same_grid(slices: Sequence[CtSlice]) -> None:
    """Check that all slices have one size and one pixel spacing."""
    sizes = {(s.rows, s.columns) for s in slices}
    if len(sizes) > 1:
        raise GeometryError(f"mixed image size: {', '.join(f'{r} x {c}' for r, c in sorted(sizes))}")
    spacings = np.array([s.pixel_spacing_mm for s in slices])
    if (spacings <= 0).any():
        raise GeometryError("Pixel Spacing is not above zero")
    if np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max():
        raise GeometryError(f"mixed pixel spacing: {spacings.min():.4f} to {spacings.max():.4f} mm")


def drop_duplicates(slices: list[CtSlice], normal: NDArray[np.float64], notes: list[str]) -> list[CtSlice]:
    """The slices without those that repeat another one's position and content. Different images at one position are refused."""
    positions = np.array([s.position for s in slices])
    dropped: set[int] = set()
    for group in group_same_positions(distances_along_normal(positions, normal)):
        first = group[0]
        for other in group[1:]:
            same_position = np.allclose(positions[first], positions[other], atol=0.01)
            if not (same_position and have_equal_values(slices[first], slices[other])):
                raise GeometryError(
                    f"duplicate position: {len(group)} different images at one place", hint="several phases in one series; send them apart"
                )
            dropped.add(other)
    if dropped:
        notes.append(f"{counted(len(dropped), 'image')} dropped: each has the position and content of another one")
    return [s for i, s in enumerate(slices) if i not in dropped]
