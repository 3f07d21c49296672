"""Analyses with images, masks and heat maps of a synthetic chest or lesion, for tests that draw pictures."""

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.concepts import codes, private_codes
from core.records import Finding, HeatMap, Measurement, Prediction
from core.states import Outcome, Tier
from deploy.demo.synthetic.chest import make_chest
from deploy.demo.synthetic.lesion import make_lesion
from imaging.masks import pack_heat_map, pack_mask
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from tests.support import analyses
from workers.encode.analysis import Analysis

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def volume_of(
    hu: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    axes: Sequence[Sequence[float]] = AXIAL,
    frame_of_reference: str = analyses.FRAME_OF_REFERENCE,
) -> Volume:
    """Return a volume. ``axes``: directions of the indices x, y and z in the patient (LPS)."""
    affine = np.eye(4)
    for column, (axis, step) in enumerate(zip(axes, spacing_mm[::-1], strict=True)):
        affine[:3, column] = np.array(axis) * step
    affine[:3, 3] = origin_mm
    uids = tuple(f"2.25.{1000 + index}" for index in range(len(hu)))
    return Volume(hu, affine, spacing_mm, uids, (1,) * len(hu), frame_of_reference, ())


@cache
def chest(*, seed: int = 5, slices: int = 60, size: int = 192, slice_mm: float = 5.0) -> Analysis:
    """Return the analysis of a chest with three nodules, their masks, and a heat map on a coarser grid."""
    made = make_chest(seed, slices=slices, size=size, slice_mm=slice_mm, diameters_mm=(9.0, 14.0, 22.0))
    volume = volume_of(made.hu, made.spacing_mm, made.origin_mm)
    z, y, x = np.meshgrid(*(np.arange(n) for n in made.hu.shape), indexing="ij", sparse=True)
    evidence = np.zeros(made.hu.shape, np.float32)
    findings = []
    for number, nodule in enumerate(made.nodules):
        cz, cy, cx = volume.index(nodule.position_mm)
        dz, dy, dx = volume.spacing_mm
        distance = np.sqrt(((z - cz) * dz) ** 2 + ((y - cy) * dy) ** 2 + ((x - cx) * dx) ** 2)
        evidence = np.maximum(evidence, np.exp(-((distance / nodule.diameter_mm) ** 2)) * (0.95 - 0.1 * number))
        findings.append(
            Finding(
                label="nodule",
                code=codes.NODULE,
                score=0.93 - 0.11 * number,
                tier=(Tier.REVIEW, Tier.REVIEW, Tier.UNCERTAIN)[number],
                position_mm=nodule.position_mm,
                diameter_mm=nodule.diameter_mm,
                sop_instance_uid=volume.sop_instance_uids[round(cz)],
                frame=1,
                image_point=(cx + 0.5, cy + 0.5),
                measurements=(Measurement(codes.VOLUME, np.pi / 6 * nodule.diameter_mm**3, codes.CUBIC_MILLIMETER),),
                site=codes.LUNG,
                mask=pack_mask(distance <= nodule.diameter_mm / 2),
            )
        )
    prediction = Prediction(Outcome.FINDINGS, tuple(findings), looked_for=analyses.LOOKED_FOR, notes=("1 localizer was left out.",))
    return replace(analyses.ct(prediction, slices=slices), item=volume, heat=coarse(evidence))


def coarse(evidence: NDArray[np.float32], step: tuple[int, int, int] = (1, 3, 3)) -> HeatMap:
    """Return a heat map on every n-th voxel; each value is the mean of its cell."""
    depth, rows, columns = (n // s * s for n, s in zip(evidence.shape, step, strict=True))
    cells = evidence[:depth, :rows, :columns].reshape(depth // step[0], step[0], rows // step[1], step[1], columns // step[2], step[2])
    values = cells.mean(axis=(1, 3, 5))
    origin = tuple((s - 1) / 2 for s in step)
    return pack_heat_map(values, origin=origin, step=tuple(map(float, step)), meaning="evidence for a nodule, of 1")  # type: ignore[arg-type]


@cache
def lesion(*, seed: int = 3, size: tuple[int, int] = (450, 600)) -> Analysis:
    """Return the analysis of a lesion that is classified as melanoma, with its mask and a heat map."""
    made = make_lesion(seed, size=size)
    rgb = np.asarray(Image.open(io.BytesIO(made.jpeg)).convert("RGB"))
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    cy, cx = (float(v) for v in np.argwhere(made.mask).mean(axis=0))
    spread = size[0] / 6
    evidence = np.exp(-(((y - cy + spread / 3) ** 2 + (x - cx - spread / 2) ** 2) / spread**2)).astype(np.float32)
    photograph = Photograph(rgb, "2.25.2000", 61.0, "F", "back", None, ())
    finding = Finding(
        label="mel",
        code=codes.MELANOMA,
        probability=0.8123456,
        tier=Tier.REVIEW,
        sop_instance_uid="2.25.2000",
        measurements=(Measurement(private_codes.MALIGNANCY, 0.91, codes.NO_UNITS),),
        site=codes.SKIN,
        mask=pack_mask(made.mask[None]),
    )
    prediction = Prediction(Outcome.FINDINGS, (finding,), analyses.CLASSES, looked_for="One of seven classes of pigmented skin lesions.")
    heat = pack_heat_map(evidence[None], meaning="evidence for mel (Grad-CAM)")
    return replace(analyses.skin(prediction), key="d4" * 32, item=photograph, heat=heat)
