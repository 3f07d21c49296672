"""Checks of a result object's structure, by SOP class: frames, pixels, segments, and the PDF."""

from collections.abc import Callable, Iterator, Mapping

from pydicom.uid import EncapsulatedPDFStorage, ParametricMapStorage, SecondaryCaptureImageStorage, SegmentationStorage

from imaging.wire.strict_dataset import StrictDataset


def check_frames(document: StrictDataset) -> Iterator[str]:
    """A functional group with sources and position for each frame, and the length of the pixels."""
    groups = document.get("PerFrameFunctionalGroupsSequence", ())
    if len(groups) != document.get("NumberOfFrames"):
        yield f"{document.get('NumberOfFrames')} frames, and {len(groups)} functional groups"
    listed = {
        str(instance.get("ReferencedSOPInstanceUID"))
        for series in document.get("ReferencedSeriesSequence", ())
        for instance in series.get("ReferencedInstanceSequence", ())
    }
    for number, group in enumerate(groups, 1):
        sources = [source for item in group.get("DerivationImageSequence", ()) for source in item.get("SourceImageSequence", ())]
        if not sources:
            yield f"frame {number} names no source image"
        if any(str(source.get("ReferencedSOPInstanceUID")) not in listed for source in sources):
            yield f"frame {number} names a source image that the object does not list"
        if document.get("FrameOfReferenceUID") and "PlanePositionSequence" not in group:
            yield f"frame {number} has no position"
    yield from check_pixel_length(document)


def check_pixel_length(document: StrictDataset) -> Iterator[str]:
    """As many bytes of pixels as Rows, Columns, Samples per Pixel, Bits Allocated and Number of Frames need."""
    keyword = next((word for word in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if document.get(word)), None)
    if keyword is None:
        yield "there are no pixels"
        return
    factors = [document.get(word) or 0 for word in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    bits = int(document.get("NumberOfFrames") or 1)
    for factor in factors:
        bits *= int(factor)
    expected = (bits + 7) // 8
    if len(document[keyword].value) != expected + expected % 2:
        yield f"{expected + expected % 2} bytes of pixels expected, {len(document[keyword].value)} are there"


def check_segmentation(document: StrictDataset) -> Iterator[str]:
    """Segments numbered from 1, each automatic, with algorithm and tracking; each frame shows one of them."""
    segments = document.get("SegmentSequence", ())
    numbers = [segment.get("SegmentNumber") for segment in segments]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "the segments are not numbered from 1"
    for segment in segments:
        if segment.get("SegmentAlgorithmType") != "AUTOMATIC":
            yield "a segment is not of type AUTOMATIC"
        for keyword in (
            "SegmentLabel", "SegmentAlgorithmName", "SegmentationAlgorithmIdentificationSequence", "SegmentedPropertyCategoryCodeSequence",
            "SegmentedPropertyTypeCodeSequence", "TrackingID", "TrackingUID",
        ):  # fmt: skip
            if not segment.get(keyword):
                yield f"a segment has no {keyword}"
    tracked = [str(segment.get("TrackingUID")) for segment in segments]
    if len(set(tracked)) != len(tracked):
        yield "two segments have the same tracking UID"
    shown = set()
    shared = document.get("SharedFunctionalGroupsSequence", ())
    for group in (*shared, *document.get("PerFrameFunctionalGroupsSequence", ())):
        shown |= {item.get("ReferencedSegmentNumber") for item in group.get("SegmentIdentificationSequence", ())}
    if shown != set(numbers):
        yield "the frames show other segments than are described"
    yield from check_frames(document)


def check_pdf(document: StrictDataset) -> Iterator[str]:
    """The encapsulated document is a PDF."""
    if not bytes(document.get("EncapsulatedDocument") or b"").startswith(b"%PDF-"):
        yield "the encapsulated document is not a PDF"


CHECKS: Mapping[str, Callable[[StrictDataset], Iterator[str]]] = {
    str(SegmentationStorage): check_segmentation,
    str(ParametricMapStorage): check_frames,
    str(SecondaryCaptureImageStorage): check_pixel_length,
    str(EncapsulatedPDFStorage): check_pdf,
}
