"""Where in the lungs a nodule lies: side, zone, place within its lung and distance to the pleura, from the coarse lung field."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.concepts import codes
from core.records import Code, OrganPlace
from imaging.ndimage import ndimage
from imaging.volume.volume import Volume
from models.ct.isotropic_grid import Index
from models.ct.lung_field import LungField, Mask
from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.heat import NoduleHeat

REACH_MM = 30.0  # no distance is given beyond it
MIDLINE_MM = 10.0  # no side is given within this distance of the middle between the lungs
LEAST_SHARE = 0.15  # of the air on each side of the middle; a single aerated lung has no middle
ZONES = (codes.LOWER_ZONE, codes.MIDDLE_ZONE, codes.UPPER_ZONE)
END_SHARE = 0.01  # of the air of a lung that lies beyond each end of it along an axis: single voxels decide nothing
LEAST_EXTENT_MM = 30.0  # a lung that is shorter along an axis gives no place


@dataclass(frozen=True, slots=True)
class PlaceInLung:
    """Where a nodule lies; None: not known.

    ``side``: left or right of the patient; ``zone``: third of the lungs' height; ``pleura_mm``: from edge to edge; ``within``: the place in
    the lung of this side.
    """

    side: Code | None
    zone: Code | None
    pleura_mm: float | None
    within: OrganPlace | None


def place_in_lung(candidate: NoduleCandidate, heat: NoduleHeat, volume: Volume, *, whole: bool) -> PlaceInLung:
    """The place of a candidate. ``whole``: whether the series covers both ends of the lungs; else no zone and no place within is given."""
    lungs = heat.lungs
    centre = volume.lps(*candidate.centre)
    zone = _zone(lungs, volume, centre[2]) if whole else None
    side = _side(lungs, volume, centre[0])
    within = _place_within(candidate.centre, lungs, volume, side) if whole and side is not None else None
    return PlaceInLung(side, zone, _distance_to_pleura(candidate, heat), within)


def _middle(lungs: LungField, volume: Volume) -> tuple[int, float]:
    """The axis along the lungs' width, and the coarse index of its middle.

    The width is along the columns, or along the rows where these follow the patient's x axis, as in a patient who lies on the side.
    """
    sideways = np.abs(volume.affine[0, :2])  # of columns and rows
    axis = 2 if sideways[0] >= sideways[1] else 1
    seen = np.flatnonzero(lungs.air.any(axis=(0, 3 - axis)))
    return axis, float(seen[0] + seen[-1]) / 2


def _side(lungs: LungField, volume: Volume, x_mm: float) -> Code | None:
    """Side by the middle of the lungs' width: in LPS, x grows towards the patient's left."""
    axis, middle = _middle(lungs, volume)
    air = lungs.air.sum(axis=(0, 3 - axis))
    share = float(air[: int(middle) + 1].sum()) / float(air.sum())
    index = [0.0, 0.0, 0.0]
    index[axis] = (middle + 0.5) * lungs.factor[axis] - 0.5
    distance = x_mm - volume.lps(*index)[0]
    if not LEAST_SHARE <= share <= 1 - LEAST_SHARE or abs(distance) < MIDLINE_MM:
        return None
    return codes.LEFT if distance > 0 else codes.RIGHT


def _place_within(centre: Index, lungs: LungField, volume: Volume, side: Code) -> OrganPlace | None:
    """The place of a native (z, y, x) index within the lung of ``side``, along x, y and z of the patient (LPS)."""
    air = _lung_of_side(lungs, volume, side)
    shares, extents = [], []
    for direction in volume.affine[:3, :3]:  # along x, y and z: mm for each column, row and slice
        column = int(np.argmax(np.abs(direction)))
        axis, step = 2 - column, float(direction[column])
        low, high = ((end + 0.5) * lungs.factor[axis] - 0.5 for end in _ends(air, axis))
        extent = (high - low) * abs(step)
        if extent < LEAST_EXTENT_MM:
            return None
        share = (centre[axis] - low) / (high - low)
        shares.append(round(share if step > 0 else 1 - share, 4))
        extents.append(round(extent, 1))
    return OrganPlace((shares[0], shares[1], shares[2]), (extents[0], extents[1], extents[2]))


def _lung_of_side(lungs: LungField, volume: Volume, side: Code) -> Mask:
    """The air on one side of the middle."""
    axis, middle = _middle(lungs, volume)
    towards_left = volume.affine[0, 2 - axis] > 0
    upper = (side == codes.LEFT) == bool(towards_left)
    at = np.arange(lungs.air.shape[axis])
    shape = [1, 1, 1]
    shape[axis] = len(at)
    chosen = (at > middle if upper else at < middle).reshape(shape)
    return lungs.air & chosen


def _ends(air: Mask, axis: int) -> tuple[int, int]:
    """First and last coarse index along an axis between which the lung lies, but for `END_SHARE` of its air at each end."""
    others = tuple(other for other in range(3) if other != axis)
    below = np.cumsum(air.sum(axis=others))
    total = float(below[-1])
    return int(np.searchsorted(below, END_SHARE * total)), int(np.searchsorted(below, (1 - END_SHARE) * total))


def _zone(lungs: LungField, volume: Volume, z_mm: float) -> Code:
    """Third of the height between the lowest and the highest slice with lung."""
    slices = np.flatnonzero(lungs.air.any(axis=(1, 2)))
    ends = sorted(volume.lps((float(end) + 0.5) * lungs.factor[0] - 0.5, 0, 0)[2] for end in (slices[0], slices[-1]))
    height = (z_mm - ends[0]) / max(ends[1] - ends[0], 1.0)
    return ZONES[int(np.clip(height * 3, 0, 2))]


def _distance_to_pleura(candidate: NoduleCandidate, heat: NoduleHeat) -> float | None:
    """Shortest distance in mm from the region's edge to the edge of the lung field, in steps of the coarse grid of about 2 mm."""
    lungs = heat.lungs
    index = _coarse_indices(candidate, heat)
    low, high = [], []
    for axis in range(3):
        reach = int(np.ceil(REACH_MM / lungs.spacing_mm[axis])) + 1
        low.append(max(0, int(index[:, axis].min()) - reach))
        high.append(min(lungs.field.shape[axis], int(index[:, axis].max()) + reach + 1))
    box = lungs.field[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if box.all():
        return None
    depth = ndimage.distance_transform_edt(box, sampling=lungs.spacing_mm)
    nearest = float(depth[tuple((index - low).T)].min()) - min(lungs.spacing_mm)  # neighbours touch
    return round(max(0.0, nearest)) if nearest <= REACH_MM else None


def _coarse_indices(candidate: NoduleCandidate, heat: NoduleHeat) -> npt.NDArray[np.intp]:
    """(n, 3) coarse (z, y, x) indices of the voxels of a region."""
    lungs = heat.lungs
    points = np.argwhere(candidate.inside) + np.array(candidate.corner)
    native = np.array(heat.grid.origin) + points * np.array(heat.grid.step)
    coarse = np.round((native + 0.5) / np.array(lungs.factor) - 0.5).astype(np.intp)
    return np.unique(np.clip(coarse, 0, np.array(lungs.field.shape) - 1), axis=0)
