"""What dicom-node made, here or in another copy, and was sent back: kept or refused as configured, never analysed. Pure.

Told by two marks that no archive takes away, in the manufacturer or in the coding schemes of the object, and for objects of
this installation by the index of what it made, whatever became of their headers.
"""

from collections.abc import Iterable

MANUFACTURER = "dicom-node"
# Only objects of these classes are looked up in the index: what a scanner sends costs nothing.
RESULT_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection Document
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
        "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture
        "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    }
)
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def bears_our_mark(manufacturers: Iterable[str], coding_schemes: Iterable[str], own_scheme: str) -> bool:
    """Whether the equipment, contributing equipment included, or a coding scheme that is identified, is this software's."""
    makers = {maker.strip().casefold() for maker in manufacturers}
    return MANUFACTURER in makers or own_scheme in {scheme.strip() for scheme in coding_schemes}


def is_secondary_capture(sop_class_uid: str) -> bool:
    """Pictures of a screen, single or multi-frame (PS3.4 B.5): their values are not those of an acquisition."""
    return sop_class_uid == SECONDARY_CAPTURE or sop_class_uid.startswith(f"{SECONDARY_CAPTURE}.")
