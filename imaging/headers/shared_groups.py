"""Attributes of a multi-frame image that hold for all of its frames (functional groups, PS3.3 C.7.6.16).

They stand in the shared functional groups. An encoder may also repeat them in the group of each frame, as scanners do with the orientation
of enhanced MR: an attribute counts then where every frame has the same value.
"""

from collections.abc import Iterator, Sequence

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from core.errors import NodeError

MOST_FRAMES = 1000  # of more, the groups of the frames are not looked through, so that `work_budget` does not refuse the image for it
_REPEATED = frozenset({"PixelMeasuresSequence", "PlaneOrientationSequence"})  # what scanners repeat; of one frame, each macro is looked for
_ATTRIBUTES_BY_MACRO = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "FrameAnatomySequence": ("FrameLaterality", "AnatomicRegionSequence"),
}


def flatten_shared_groups(dataset: Dataset) -> Dataset:
    """The attributes that all frames share as one flat data set; empty if there are none."""
    flat = Dataset()
    groups = dataset.get("SharedFunctionalGroupsSequence") or []
    missing = []
    for macro, keywords in _ATTRIBUTES_BY_MACRO.items():
        items = groups[0].get(macro) if len(groups) else None
        if items is None or len(items) == 0:
            missing.append(macro)
            continue
        for keyword in keywords:
            if keyword in items[0]:
                flat[keyword] = items[0][keyword]
    for element in _repeated_attributes(dataset, missing):
        flat[element.tag] = element
    return flat


def _repeated_attributes(dataset: Dataset, macros: Sequence[str]) -> list[DataElement | RawDataElement]:
    """As `_repeated`; none where the groups of the frames cannot be read: the image is not refused for them."""
    try:
        return list(_repeated(dataset, macros))
    except (NodeError, RecursionError, MemoryError):
        raise
    except Exception:  # pydicom fails on broken groups with exceptions of many types
        return []


def _repeated(dataset: Dataset, macros: Sequence[str]) -> Iterator[DataElement | RawDataElement]:
    """The attributes of these macros that each frame repeats with one value. Values are compared as they stand in the file."""
    number = int(dataset.get("NumberOfFrames") or 1)
    macros = [macro for macro in macros if number == 1 or macro in _REPEATED]
    on_slide = "TotalPixelMatrixColumns" in dataset  # its tiles have a place on the slide, and none in the patient
    if not macros or number > MOST_FRAMES or on_slide or "PerFrameFunctionalGroupsSequence" not in dataset:
        return
    frames = dataset["PerFrameFunctionalGroupsSequence"].value or []
    for macro in macros:
        items = [frame.get(macro) or [] for frame in frames]
        if not items or not all(len(item) for item in items):
            continue
        for keyword in _ATTRIBUTES_BY_MACRO[macro]:
            if not all(keyword in item[0] for item in items):
                continue
            first, *others = (item[0].get_item(keyword) for item in items)
            if first is not None and all(other is not None and other.value == first.value for other in others):
                yield first
