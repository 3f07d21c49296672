"""Creates multi-frame images: OCT volumes and ultrasound loops whose frames are drawings."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit

from tests.support.monai_classifiers import drawing
from tests.support.series import image

OPT = "1.2.840.10008.5.1.4.1.1.77.1.5.4"
ULTRASOUND_LOOP = "1.2.840.10008.5.1.4.1.1.3.1"
# Of a CT slice, which these images are not.
_UNSET = dict.fromkeys(
    ("RescaleSlope", "RescaleIntercept", "RescaleType", "ConvolutionKernel", "SliceThickness", "PixelSpacing", "ImagePositionPatient",
     "ImageOrientationPatient", "BodyPartExamined")
)  # fmt: skip


def oct_volume(discs: Sequence[bool], seed: int = 1, size: tuple[int, int] = (60, 80), **changes: Any) -> FileDataset:
    """Ophthalmic Tomography Image with one frame for each of ``discs``, which says whether it shows a bright disc."""
    frames = np.stack([drawing(disc, seed * 100 + number, size, at=0.4) for number, disc in enumerate(discs)])
    given = {"ImageLaterality": "R", "ImageType": ["ORIGINAL", "PRIMARY"], **changes}
    made = multi_frame(frames, study=8400 + seed, sop_class=OPT, modality="OPT", **given)
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SpacingBetweenSlices, measures.SliceThickness = [0.004, 0.012], 0.1, 0.1
    shared.PixelMeasuresSequence = [measures]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [Dataset() for _ in discs]
    return made


def multi_frame(
    frames: np.ndarray, *, study: int, sop_class: str, modality: str, series: int = 1, number: int = 1, **changes: Any
) -> FileDataset:
    """(N, Y, X) or (N, Y, X, 3) uint8 as an uncompressed image."""
    colour = frames.ndim == 4
    pixels = frames.tobytes()
    elements: dict[str, Any] = {
        "Modality": modality, "Rows": frames.shape[1], "Columns": frames.shape[2], "NumberOfFrames": len(frames), "BitsAllocated": 8,
        "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2", "PixelData": pixels + b"\0" * (len(pixels) % 2), **_UNSET,
    }  # fmt: skip
    made = image(study=study, series=series, number=number, sop_class=sop_class, **elements | changes)
    made["PixelData"].VR = "OB"
    if colour:
        made.PlanarConfiguration = 0
    return made


def as_jpeg(dataset: FileDataset, *, offset_table: bool = True, fragments: int = 1) -> FileDataset:
    """The same image in JPEG Baseline, with the quality 95. ``fragments``: of each frame."""
    shape = (int(dataset.NumberOfFrames), int(dataset.Rows), int(dataset.Columns))
    colour = int(dataset.SamplesPerPixel) == 3
    frames = np.frombuffer(dataset.PixelData, np.uint8)[: int(np.prod(shape)) * (3 if colour else 1)].reshape(
        *shape, *((3,) if colour else ())
    )
    dataset.PixelData = encapsulate([jpeg_of(frame) for frame in frames], fragments_per_frame=fragments, has_bot=offset_table)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = UID(JPEGBaseline8Bit)
    if colour:
        dataset.PhotometricInterpretation = "YBR_FULL_422"
    return dataset


def jpeg_of(frame: np.ndarray) -> bytes:
    """JPEG Baseline of (Y, X) or (Y, X, 3) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
