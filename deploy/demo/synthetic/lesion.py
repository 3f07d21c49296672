"""Creates synthetic dermoscopy: skin, a pigmented lesion with an irregular border and colour, hairs; as JPEG and as DICOM.

Not for training: it resembles dermoscopy only enough for demos and tests.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from pydicom.dataset import FileDataset

from deploy.demo.synthetic.uids import synthetic_uid
from imaging.headers.identity import Identity
from imaging.photograph.body_sites import coded_sites
from imaging.photograph.encapsulate import jpeg_to_dicom
from imaging.photograph.header import PhotographKind

Floats = NDArray[np.float32]
_SKINS = np.array([(222, 178, 156), (231, 190, 172), (205, 155, 130), (214, 165, 148)], np.float32)
_PIGMENTS = np.array([(120, 72, 48), (92, 55, 42), (146, 88, 66), (70, 48, 50), (165, 95, 85)], np.float32)


@dataclass(frozen=True, slots=True)
class Lesion:
    """A photograph as JPEG bytes, and the (Y, X) bool mask of its lesion."""

    seed: int
    jpeg: bytes
    mask: NDArray[np.bool_]


def make_lesion(seed: int, *, size: tuple[int, int] = (450, 600), quality: int = 90) -> Lesion:
    """Draw a lesion. ``size`` is (rows, columns); the same seed gives the same bytes with the same Pillow."""
    rng = np.random.default_rng([seed, *size])
    rows, columns = size
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    cy, cx = rows * rng.uniform(0.42, 0.58), columns * rng.uniform(0.42, 0.58)
    angle = np.arctan2(y - cy, x - cx)
    radius = min(rows, columns) * rng.uniform(0.18, 0.32)
    edge = np.full(size, radius, np.float32)
    for wave in range(2, 9):  # an irregular border: some waves around it
        edge += radius * rng.uniform(0, 0.3 / wave) * np.cos(wave * angle + rng.uniform(0, 6.28))
    distance = np.hypot((y - cy) * rng.uniform(0.9, 1.15), (x - cx) * rng.uniform(0.9, 1.15))
    blur = radius * rng.uniform(0.04, 0.15)
    cover = np.clip((edge - distance) / blur + 0.5, 0, 1)[..., None]
    skin = _SKINS[rng.integers(len(_SKINS))] + 10 * _clouds(size, 6, rng) + 5 * _clouds(size, 60, rng)
    first, second = _PIGMENTS[rng.choice(len(_PIGMENTS), 2, replace=False)]
    mix = np.clip(0.5 + 0.5 * _clouds(size, 5, rng), 0, 1)
    network = 14 * np.abs(_clouds(size, 45, rng))
    pigment = first * mix + second * (1 - mix) + network
    image = skin * (1 - cover) + pigment * cover
    image *= (1 - 0.25 * ((y / rows - 0.5) ** 2 + (x / columns - 0.5) ** 2))[..., None]  # the illumination is brighter in the middle
    picture = Image.fromarray(np.clip(image + rng.normal(0, 2.5, (*size, 1)), 0, 255).astype(np.uint8))
    picture = _hairs(picture, rng)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return Lesion(seed, out.getvalue(), cover[..., 0] > 0.5)


def _clouds(size: tuple[int, int], cells: int, rng: np.random.Generator) -> Floats:
    """Return (Y, X, 1) smooth noise of unit variance, with ``cells`` blobs across."""
    small = Image.fromarray(rng.standard_normal((cells, max(2, cells * size[1] // size[0]))).astype(np.float32))
    return np.asarray(small.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.float32)[..., None]


def _hairs(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    layer = picture.copy()
    draw = ImageDraw.Draw(layer)
    width, height = picture.size
    for _ in range(int(rng.integers(0, 14))):
        x, y, direction = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, 6.28)
        points = [(x, y)]
        for _ in range(30):
            direction += rng.normal(0, 0.06)
            x, y = x + np.cos(direction) * height / 60, y + np.sin(direction) * height / 60
            points.append((float(x), float(y)))
        draw.line(points, fill=(52, 38, 34), width=max(1, height // 220))
    return Image.blend(picture, layer.filter(ImageFilter.GaussianBlur(0.6)), 0.85)


def lesion_identity(seed: int) -> Identity:
    """Return a synthetic patient with one study."""
    rng = np.random.default_rng([seed, 7])
    age = int(rng.integers(20, 85))
    return Identity(
        patient_id=f"SKIN-{seed:06d}",
        study_instance_uid=synthetic_uid(seed, "skin", "study"),
        patient_name="Synthetic^Lesion",
        issuer_of_patient_id="dicom-node synthetic",
        patient_birth_date=f"{2026 - age}0101",
        patient_sex="F" if rng.random() < 0.5 else "M",
        patient_age=f"{age:03d}Y",
        accession_number=f"SKIN{seed:08d}",
        study_id=str(seed),
        study_date="20260102",
        study_time="111500",
        study_description="Synthetic dermoscopy",
        timezone_offset="+0000",
    )


def lesion_dataset(
    seed: int, *, kind: PhotographKind = "dermoscopy", size: tuple[int, int] = (450, 600), identity: Identity | None = None
) -> FileDataset:
    """Return a lesion as a DICOM photograph, JPEG Baseline, with age, sex and body site in its header."""
    site = coded_sites()[seed % len(coded_sites())]
    return jpeg_to_dicom(
        make_lesion(seed, size=size).jpeg,
        identity=identity or lesion_identity(seed),
        series_instance_uid=synthetic_uid(seed, "skin", kind, "series"),
        sop_instance_uid=synthetic_uid(seed, "skin", kind, "instance"),
        kind=kind,
        site=site,
    )
