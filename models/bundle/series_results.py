"""What an imported detector and an imported segmentation network say of a series in the same way."""

from collections.abc import Sequence

import numpy as np

from core.records import Finding, Mask, Measurement, Prediction
from core.states import Outcome, Tier
from imaging.volume.volume import Volume
from models.bundle.input_grid import is_axial
from models.card import ModelCard


def refuse_other_orientation(volume: Volume, card: ModelCard) -> Prediction | None:
    """Return "not analysed" for a series that is not axial; None for one that the model may see."""
    if is_axial(volume):
        return None
    reason = "axial slices are needed, these are of another orientation"
    return Prediction(Outcome.NOT_ANALYSED, reason=reason, looked_for=card.looked_for, notes=volume.notes)


def make_finding(
    volume: Volume, card: ModelCard, *, label: int, score: float, voxel: tuple[float, float, float], diameter_mm: float,
    measurements: Sequence[Measurement], mask: Mask | None = None,
) -> Finding:  # fmt: skip
    """Return a finding at ``voxel`` (z, y, x in voxels of the series). Its score is not calibrated: it is never of the high tier."""
    z, y, x = voxel
    chosen = card.labels[label]
    slice_index = int(np.clip(round(z), 0, volume.hu.shape[0] - 1))
    return Finding(
        label=chosen.name,
        code=chosen.code,
        score=round(score, 4),
        tier=Tier.REVIEW if score >= card.thresholds["review_score"] else Tier.UNCERTAIN,
        position_mm=volume.lps(z, y, x),
        diameter_mm=diameter_mm,
        sop_instance_uid=volume.sop_instance_uids[slice_index],
        frame=volume.frame_numbers[slice_index],
        image_point=(x + 0.5, y + 0.5),
        measurements=tuple(measurements),
        mask=mask,
    )
