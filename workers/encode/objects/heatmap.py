"""Findings as colour pictures that every viewer shows: Secondary Capture, one instance a finding on CT, one a photograph.

Plain Secondary Capture (PS3.3 A.8.1) and not its multi-frame form: old archives and viewers take it. Uncompressed: it can
be sent in every transfer syntax.
"""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from core import codes
from core.records import ResultObject
from core.states import ResultKind
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.common import add_anatomy, code_item, head, part10
from workers.encode.pictures.sheet import sheet
from workers.encode.pictures.views import View, views
from workers.encode.planes import reference
from workers.encode.words import model_line

PROFILE = "heatmap"


def encode(analysis: Analysis) -> tuple[ResultObject, ...]:
    """The pictures in their order, the surest finding first; none where nothing was found or nothing can be shown of it."""
    return tuple(_picture(analysis, view, number) for number, view in enumerate(views(analysis), 1))


def _picture(analysis: Analysis, view: View, number: int) -> ResultObject:
    kind = ResultKind.HEATMAP
    document = head(analysis, kind, PROFILE, sop_class_uid=SecondaryCaptureImageStorage, modality="OT", number=number)
    add_anatomy(document, analysis)
    document.ConversionType = "WSD"
    document.ImageType = ["DERIVED", "SECONDARY"]
    document.PatientOrientation = ""
    document.DerivationDescription = f"Drawn from the images and the answer of {model_line(analysis)}"
    document.ImageComments = " / ".join(panel.caption for panel in view.panels)
    _burned_in(document, analysis)
    document.update(analysis.source.lossy)
    _sources(document, analysis, view)
    _pixels(document, sheet(analysis, view))
    return ResultObject(
        kind=kind,
        profile=PROFILE,
        sop_class_uid=str(SecondaryCaptureImageStorage),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=part10(document, analysis.source.character_set),
    )


def _burned_in(document: Dataset, analysis: Analysis) -> None:
    """Our words do not tell who the patient is (PS3.3 C.7.6.1); what a photograph shows, only its source knows."""
    said = analysis.source.burned_in
    if said == "YES":
        document.BurnedInAnnotation = "YES"
    elif said == "NO" or isinstance(analysis.item, Volume):
        document.BurnedInAnnotation = "NO"


def _sources(document: Dataset, analysis: Analysis, view: View) -> None:
    """The image that is shown (PS3.3 C.7.6.1.1.4), and its series (C.12.2)."""
    image = analysis.source.image(view.sop_instance_uid)
    source = reference(image)
    if view.frame is not None and image.number_of_frames > 1:
        source.ReferencedFrameNumber = view.frame
    source.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_FOR_PROCESSING)]
    document.SourceImageSequence = [source]
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    series.ReferencedInstanceSequence = [reference(image)]
    document.ReferencedSeriesSequence = [series]


def _pixels(document: Dataset, rgb: NDArray[np.uint8]) -> None:
    """Image Pixel module (PS3.3 C.7.6.3): (Y, X, 3) uint8."""
    document.Rows, document.Columns = rgb.shape[:2]
    document.SamplesPerPixel, document.PhotometricInterpretation, document.PlanarConfiguration = 3, "RGB", 0
    document.BitsAllocated, document.BitsStored, document.HighBit, document.PixelRepresentation = 8, 8, 7, 0
    content = rgb.tobytes()
    document.PixelData = content + b"\0" * (len(content) % 2)
    document["PixelData"].VR = "OB"
