"""Attributes of a multi-frame image that hold for all of its frames (Shared Functional Groups, PS3.3 C.7.6.16)."""

from pydicom.dataset import Dataset

_ATTRIBUTES_BY_MACRO = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "FrameAnatomySequence": ("FrameLaterality", "AnatomicRegionSequence"),
}


def flatten_shared_groups(dataset: Dataset) -> Dataset:
    """The attributes of the shared functional groups as one flat data set; empty if there are no such groups."""
    flat = Dataset()
    groups = dataset.get("SharedFunctionalGroupsSequence")
    if groups is None or len(groups) == 0:
        return flat
    for macro, keywords in _ATTRIBUTES_BY_MACRO.items():
        items = groups[0].get(macro)
        if items is None or len(items) == 0:
            continue
        for keyword in keywords:
            if keyword in items[0]:
                flat[keyword] = items[0][keyword]
    return flat
