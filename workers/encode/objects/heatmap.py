"""Heat map pictures in colour, as Secondary Capture (PS3.3 A.8.1): one instance for each finding on CT, one for a photograph.

Single-frame and uncompressed, so that old archives and viewers accept it and it can be sent in every transfer syntax.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from core.concepts import codes
from core.records import ResultObject
from core.states import ResultKind
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import (
    add_anatomy,
    add_recognizable_features,
    code_sequence_item,
    new_result_dataset,
    sop_reference,
)
from workers.encode.finding_text import model_line
from workers.encode.part10_file import encode_object
from workers.encode.pictures.captioned_pictures import FindingView
from workers.encode.pictures.finding_views import finding_views
from workers.encode.pictures.sheet import draw_sheet

PROFILE = "heatmap"


def encode(analysis: Analysis) -> tuple[ResultObject, ...]:
    """One picture for each view, the finding of highest confidence first; () if nothing was found or nothing of it can be shown."""
    return tuple(_encode_view(analysis, view, number) for number, view in enumerate(finding_views(analysis), 1))


def _encode_view(analysis: Analysis, view: FindingView, number: int) -> ResultObject:
    kind = ResultKind.HEATMAP
    document = new_result_dataset(analysis, kind, PROFILE, sop_class_uid=SecondaryCaptureImageStorage, modality="OT", number=number)
    add_anatomy(document, analysis)
    document.ConversionType = "WSD"
    document.ImageType = ["DERIVED", "SECONDARY"]
    document.PatientOrientation = ""
    document.DerivationDescription = f"Drawn from the images and the answer of {model_line(analysis)}"
    document.ImageComments = " / ".join(picture.caption for picture in view.pictures)
    _add_burned_in_annotation(document, analysis)
    add_recognizable_features(document, analysis)
    document.update(analysis.source.lossy)
    document.update(analysis.source.specimen)
    _add_sources(document, analysis, view)
    _add_pixels(document, draw_sheet(analysis, view))
    return encode_object(document, kind=kind, profile=PROFILE, source_character_set=analysis.source.character_set)


def _add_burned_in_annotation(document: Dataset, analysis: Analysis) -> None:
    """NO on CT, since our own text does not identify the patient (PS3.3 C.7.6.1); on a photograph what its source says."""
    stated = analysis.source.burned_in
    if stated == "YES":
        document.BurnedInAnnotation = "YES"
    elif stated == "NO" or isinstance(analysis.item, Volume):
        document.BurnedInAnnotation = "NO"


def _add_sources(document: Dataset, analysis: Analysis, view: FindingView) -> None:
    """References to the image that is shown (PS3.3 C.7.6.1.1.4) and to its series (C.12.2)."""
    image = analysis.source.image(view.sop_instance_uid)
    source = sop_reference(image)
    if view.frame is not None and image.number_of_frames > 1:
        source.ReferencedFrameNumber = view.frame
    source.PurposeOfReferenceCodeSequence = [code_sequence_item(codes.SOURCE_FOR_PROCESSING)]
    document.SourceImageSequence = [source]
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    series.ReferencedInstanceSequence = [sop_reference(image)]
    document.ReferencedSeriesSequence = [series]


def _add_pixels(document: Dataset, rgb: NDArray[np.uint8]) -> None:
    """Image Pixel module (PS3.3 C.7.6.3): (Y, X, 3) uint8."""
    document.Rows, document.Columns = rgb.shape[:2]
    document.SamplesPerPixel, document.PhotometricInterpretation, document.PlanarConfiguration = 3, "RGB", 0
    document.BitsAllocated, document.BitsStored, document.HighBit, document.PixelRepresentation = 8, 8, 7, 0
    content = rgb.tobytes()
    document.PixelData = content + b"\0" * (len(content) % 2)
    document["PixelData"].VR = "OB"
