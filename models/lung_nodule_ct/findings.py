"""Builds the finding of a candidate: position, place in the lung, axes, volume, density, category by size, mask and score."""

from collections.abc import Mapping

import numpy as np

from core.concepts import codes, private_codes
from core.records import Code, Evaluation, Finding, Measurement
from core.states import Tier
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.classifier.tiers import confidence_tier
from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.description.appearance import appearance
from models.lung_nodule_ct.description.density import density_kind, native_mask, solid_share
from models.lung_nodule_ct.description.lung_rads import lung_rads_category
from models.lung_nodule_ct.description.outline import outline_by_density
from models.lung_nodule_ct.description.place_in_lung import place_in_lung
from models.lung_nodule_ct.description.readers_estimate import density_by_readers, reader_evaluations
from models.lung_nodule_ct.heat import NoduleHeat
from models.lung_nodule_ct.probability import is_calibrated

DENSITIES: Mapping[str, Code] = {
    "solid": private_codes.SOLID,
    "part_solid": private_codes.PART_SOLID,
    "ground_glass": private_codes.GROUND_GLASS,
}
BANDS = ((6.0, private_codes.SIZE_BELOW_6), (8.0, private_codes.SIZE_6_TO_8), (15.0, private_codes.SIZE_8_TO_15))


def size_band(mean_axis_mm: float) -> Code:
    """Size band of the mean of long and short axis. The limits are those of Lung-RADS for solid nodules, but a band is no category."""
    return next((code for limit, code in BANDS if mean_axis_mm < limit), private_codes.SIZE_FROM_15)


def nodule_finding(volume: Volume, heat: NoduleHeat, candidate: NoduleCandidate, card: ModelCard, *, whole: bool = True) -> Finding:
    """The candidate as a finding of the report. ``whole``: whether the series covers both ends of the lungs."""
    z, y, x = candidate.centre
    slice_index = int(np.clip(round(z), 0, volume.hu.shape[0] - 1))
    label = card.labels[0]
    place = place_in_lung(candidate, heat, volume, whole=whole)
    outlined = outline_by_density(candidate, heat)
    distance = () if place.pleura_mm is None else (Measurement(private_codes.PLEURA_DISTANCE, place.pleura_mm, codes.MILLIMETER),)
    readers = card.network.get("readers", {})
    seen = appearance(outlined, heat) if readers else np.zeros(0)
    share = solid_share(candidate, heat, card.thresholds["solid_hu"])
    kind = density_by_readers(readers, seen) or density_kind(share, card.thresholds)
    # As reported: who computes the mean of the reported axes finds the same band and category.
    long_axis, short_axis = round(outlined.long_axis_mm, 1), round(outlined.short_axis_mm, 1)
    mean_axis = (long_axis + short_axis) / 2
    category = lung_rads_category(kind, mean_axis, place.pleura_mm)
    return Finding(
        label=label.name,
        code=label.code,
        probability=round(candidate.score, 4) if is_calibrated(card.thresholds) else None,
        score=round(candidate.score, 4),
        tier=_tier(candidate.score, card),
        position_mm=volume.lps(z, y, x),
        diameter_mm=round(outlined.diameter_mm, 1),
        sop_instance_uid=volume.sop_instance_uids[slice_index],
        frame=volume.frame_numbers[slice_index],
        image_point=(x + 0.5, y + 0.5),
        measurements=(
            Measurement(codes.DIAMETER, round(outlined.diameter_mm, 1), codes.MILLIMETER),
            Measurement(codes.LONG_AXIS, long_axis, codes.MILLIMETER),
            Measurement(codes.SHORT_AXIS, short_axis, codes.MILLIMETER),
            Measurement(codes.VOLUME, round(outlined.volume_mm3, 0), codes.CUBIC_MILLIMETER),
            *distance,
        ),
        site=codes.LUNG,
        zone=place.zone,
        side=place.side,
        mask=native_mask(outlined, heat.grid, volume.hu.shape),
        evaluations=(
            Evaluation(private_codes.DENSITY, DENSITIES[kind]),
            Evaluation(private_codes.SIZE_BAND, size_band(mean_axis)),
            *(() if category is None else (Evaluation(private_codes.LUNG_RADS, category),)),
            *reader_evaluations(readers, seen),
        ),
        place=place.within,
    )


def _tier(score: float, card: ModelCard) -> Tier:
    """By the calibrated probability; a score that is none is never of the high tier."""
    if is_calibrated(card.thresholds):
        return confidence_tier(score, card.tiers)
    return Tier.REVIEW if score >= card.tiers.review else Tier.UNCERTAIN
