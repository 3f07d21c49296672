"""Creates small synthetic DICOM objects."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from core.uids import IMPLEMENTATION_CLASS_UID

CT = "1.2.840.10008.5.1.4.1.1.2"
DERMOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.7"
SR = "1.2.840.10008.5.1.4.1.1.88.34"
ROOT = "1.2.826.0.1.3680043.10.543"


def image(
    *, study: int = 1, series: int = 1, number: int = 1, sop_class: str = CT, side: int = 16, thickness: float = 2.0, **changes: Any
) -> FileDataset:
    """Return an image of ``side`` x ``side`` pixels. ``changes``: keyword -> value; None removes the element."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.StudyInstanceUID = f"{ROOT}.{study}"
    dataset.SeriesInstanceUID = f"{ROOT}.{study}.{series}"
    dataset.SOPInstanceUID = f"{ROOT}.{study}.{series}.{number}"
    dataset.PatientID = f"TEST{study}"
    dataset.PatientName = "Test^Only"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.AccessionNumber = f"ACC{study}"
    dataset.StudyID = "1"
    dataset.StudyDate = "20260101"
    dataset.StudyTime = "120000"
    dataset.SeriesNumber = series
    dataset.InstanceNumber = number
    dataset.Modality = "CT"
    dataset.BodyPartExamined = "CHEST"
    dataset.Manufacturer = "Test"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.FrameOfReferenceUID = f"{ROOT}.{study}.{series}.0"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, thickness * number]
    dataset.PixelSpacing = [1, 1]
    dataset.SliceThickness = thickness
    dataset.ConvolutionKernel = "STANDARD"
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    pixels = np.random.default_rng(number).integers(0, 2000, (side, side), np.int16)
    dataset.add_new("PixelData", "OW", pixels.tobytes())
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", sop_class)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2")
    meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    return FileDataset(None, dataset, preamble=b"\0" * 128, file_meta=meta)  # type: ignore[arg-type]


def image_with_sequences(**changes: Any) -> FileDataset:
    """Return an image with sequences of undefined length in front of its pixel data. ``changes``: as `image`."""
    made, inner, item = image(**changes), Dataset(), Dataset()
    inner.CodeValue = "1"
    item.ConceptNameCodeSequence = [inner]
    made.ContentSequence = [item]
    for sequence in (made["ContentSequence"], item["ConceptNameCodeSequence"]):
        sequence.is_undefined_length = True
        for one in sequence.value:
            one.is_undefined_length_sequence_item = True
    return made


def series(count: int, **common: Any) -> Iterator[FileDataset]:
    """Yield ``count`` slices of one series, from number 1."""
    for number in range(1, count + 1):
        yield image(number=number, **common)


def encoded(dataset: FileDataset) -> bytes:
    """Encode the Part 10 file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
