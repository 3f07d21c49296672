"""Makes one result object readable: the text of a report, the picture of a heat map, the page of a PDF. Runs in a render process only."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from console.viewer.render_unit import PICTURE, verify_files
from core.counted import counted
from imaging.photograph.read import read_photograph

DOCUMENT = "document.pdf"
LINES_AT_MOST = 5000


def render_object(files: Sequence[tuple[Path, str]], folder: Path) -> dict[str, Any]:
    """Return the description of an object: ``shown`` is text, picture or pdf; ``lines`` has (level, name, value) of its text."""
    verify_files(files)
    path = files[0][0]
    dataset = dcmread(path, specific_tags=None)
    meta: dict[str, Any] = {"kind": "object", "bytes": 0, "shown": "text", "title": str(dataset.get("SeriesDescription", "")), "lines": []}
    if "EncapsulatedDocument" in dataset:
        content = bytes(dataset.EncapsulatedDocument)
        (folder / DOCUMENT).write_bytes(content)
        return meta | {"shown": "pdf", "bytes": len(content)}
    if "ContentSequence" in dataset:
        lines = [(0, _name(dataset), ""), *_content_lines(dataset, 1)]
        return meta | {"lines": lines[:LINES_AT_MOST]}
    if "SegmentSequence" in dataset:
        return meta | {"lines": list(_segment_lines(dataset))}
    if "PixelData" in dataset and dataset.get("SamplesPerPixel") == 3:
        picture = read_photograph(path)
        Image.fromarray(picture.rgb).save(folder / PICTURE, compress_level=1)
        return meta | {
            "shown": "picture",
            "bytes": (folder / PICTURE).stat().st_size,
            "lines": [(0, "", str(dataset.get("ImageComments", "")))],
        }
    return meta | {"lines": [(0, str(dataset.get("ContentDescription", "")), _planes(dataset))]}


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeMeaning", "")) if names else ""


def _content_lines(item: Dataset, level: int) -> Iterator[tuple[int, str, str]]:
    """Yield the content items below ``item`` in their order (PS3.3 C.17.3)."""
    for child in item.get("ContentSequence", ()):
        yield level, _name(child), _value(child)
        yield from _content_lines(child, level + 1)


def _value(item: Dataset) -> str:
    """Return the value of a content item as people read it."""
    kind = item.get("ValueType", "")
    if kind == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    if kind == "NUM":
        values = item.get("MeasuredValueSequence")
        if not values:
            return "not measured"
        unit = values[0].MeasurementUnitsCodeSequence[0]
        return f"{float(values[0].NumericValue):g} {unit.CodeMeaning if unit.CodeValue != '1' else ''}".strip()
    if kind in ("IMAGE", "COMPOSITE"):
        uid = str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        frame = item.ReferencedSOPSequence[0].get("ReferencedFrameNumber")
        return f"{kind.lower()} …{uid[-12:]}" + (f", frame {frame}" if frame else "")
    if kind in ("SCOORD", "SCOORD3D"):
        numbers = [f"{float(value):.1f}" for value in item.get("GraphicData", ())[:6]]
        more = "…" if len(item.get("GraphicData", ())) > len(numbers) else ""
        return f"{str(item.get('GraphicType', '')).lower()} ({', '.join(numbers)}{more})"
    for keyword in ("TextValue", "UID", "PersonName", "DateTime", "Date", "Time"):
        if keyword in item:
            return str(item[keyword].value)
    return ""


def _planes(dataset: Dataset) -> str:
    return counted(int(dataset.get("NumberOfFrames", 1)), "plane")


def _segment_lines(dataset: Dataset) -> Iterator[tuple[int, str, str]]:
    """Yield the segments of a segmentation: label, what it is, by which algorithm (PS3.3 C.8.20.4)."""
    yield 0, "Segmentation", f"{counted(len(dataset.SegmentSequence), 'segment')} on {_planes(dataset)}"
    for segment in dataset.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning
        yield (
            1,
            str(segment.SegmentLabel),
            f"{kind}, {str(segment.SegmentAlgorithmType).lower()}: {segment.get('SegmentAlgorithmName', '')}",
        )
