"""Encodes the same segments and the same content tree with highdicom alone, as its documentation shows."""

import io
import warnings

import numpy as np
from highdicom.seg import Segmentation
from highdicom.sr import Comprehensive3DSR, MeasurementReport
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from core.iods import TYPE_2
from imaging.masks import unpack_mask
from imaging.volume.volume import Volume
from tests.support.analyses import header
from workers.encode.analysis import Analysis
from workers.encode.objects import segmentation as objects_segmentation
from workers.encode.sr import document


class HighdicomEncoder:
    """Encoder with prepared input, whose preparation is not measured: data sets of the images, array of segment numbers, content tree."""

    def __init__(self, analysis: Analysis) -> None:
        assert isinstance(analysis.item, Volume)
        self._images = [_image(analysis.item, number) for number in range(len(analysis.item.sop_instance_uids))]
        self._labels = _labels(analysis, analysis.item)
        self._tree = _tree(analysis)
        self._segments = [
            objects_segmentation.segment_description(analysis, number, segment)
            for number, segment in objects_segmentation.segment_numbers(analysis).items()
        ]

    def encode(self) -> tuple[bytes, bytes]:
        """Encode segmentation and report."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            segmentation = Segmentation(
                source_images=self._images,
                pixel_array=self._labels,
                segmentation_type="BINARY",
                segment_descriptions=self._segments,
                series_instance_uid=generate_uid(),
                series_number=2,
                sop_instance_uid=generate_uid(),
                instance_number=1,
                manufacturer="peer",
                manufacturer_model_name="peer",
                software_versions="1",
                device_serial_number="1",
                omit_empty_frames=True,
            )
            report = Comprehensive3DSR(
                evidence=[*self._images, segmentation],
                content=self._tree,
                series_instance_uid=generate_uid(),
                series_number=3,
                sop_instance_uid=generate_uid(),
                instance_number=1,
                manufacturer="peer",
                is_complete=True,
            )
            return _file(segmentation), _file(report)


def _file(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _image(volume: Volume, number: int) -> Dataset:
    image = header("CT")
    for keyword in TYPE_2:
        if keyword not in image:
            setattr(image, keyword, "")
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, volume.sop_instance_uids[number]
    image.Rows, image.Columns = volume.hu.shape[1:]
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = volume.frame_of_reference_uid, ""
    dz, dy, dx = volume.spacing_mm
    image.PixelSpacing, image.SliceThickness = [dy, dx], dz
    image.ImageOrientationPatient = [float(f"{value:.9g}") for value in (*volume.affine[:3, 0] / dx, *volume.affine[:3, 1] / dy)]
    image.ImagePositionPatient = [float(f"{value:.9g}") for value in volume.lps(number, 0, 0)]
    return image


def _tree(analysis: Analysis) -> Dataset:
    """Return the content tree of our report, as highdicom reads it."""
    read = dcmread(io.BytesIO(document.encode(analysis).content))
    root = Dataset()
    for keyword in ("ValueType", "ConceptNameCodeSequence", "ContinuityOfContent", "ContentTemplateSequence", "ContentSequence"):
        root[keyword] = read[keyword]
    tree: Dataset = MeasurementReport.from_sequence([root])[0]
    return tree


def _labels(analysis: Analysis, volume: Volume) -> NDArray[np.uint8]:
    labels = np.zeros(volume.hu.shape, np.uint8)
    for number, segment in objects_segmentation.segment_numbers(analysis).items():
        mask = analysis.prediction.findings[number - 1].mask
        assert mask is not None
        (z, y, x), (depth, height, width) = mask.origin, mask.shape
        box = labels[z : z + depth, y : y + height, x : x + width]
        box[unpack_mask(mask)] = segment
    return labels
