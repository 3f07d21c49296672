"""Creates an Enhanced CT image (PS3.3 A.38) from a synthetic chest: one file, one frame per slice."""

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID, EnhancedCTImageStorage

from deploy.demo.synthetic.chest import Chest, chest_datasets
from deploy.demo.synthetic.uids import synthetic_uid


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def enhanced_ct(chest: Chest) -> FileDataset:
    """Return the image. Frames run from head to feet; positions and rescale values are per frame, other macros are shared."""
    images = list(chest_datasets(chest))
    ds = images[0]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(synthetic_uid(chest.seed, "enhanced"))
    ds.NumberOfFrames = len(images)
    frames = []
    planes = []
    for number, image in enumerate(images):
        intercept = -1024 - 10 * (number % 3)  # each frame has its own
        planes.append(np.frombuffer(image.PixelData, "<u2").astype(np.int32) - 1024 - intercept)
        frames.append(
            _item(
                PlanePositionSequence=[_item(ImagePositionPatient=list(image.ImagePositionPatient))],
                PixelValueTransformationSequence=[_item(RescaleIntercept=str(intercept), RescaleSlope="1", RescaleType="HU")],
                CTImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
            )
        )
    ds.PerFrameFunctionalGroupsSequence = frames
    ds.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=list(ds.PixelSpacing), SliceThickness=ds.SliceThickness)],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=list(ds.ImageOrientationPatient))],
        )
    ]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SliceLocation",
                    "RescaleIntercept", "RescaleSlope", "RescaleType"):  # fmt: skip
        delattr(ds, keyword)
    ds.PixelData = np.stack(planes).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds
