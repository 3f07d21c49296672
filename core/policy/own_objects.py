"""Recognises objects that dicom-node made, here or in another installation, when they are sent back.

They are stored or refused as configured, and never analysed. Two marks in the object show it, which no archive removes: the manufacturer
and the coding schemes. Objects of this installation are also found in the index of what it made, whatever became of their headers.
"""

from collections.abc import Iterable

MANUFACTURER = "dicom-node"
# Only objects of these classes are looked up in the index, so that images of a scanner cost no query.
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


def has_own_mark(manufacturers: Iterable[str], coding_schemes: Iterable[str], own_scheme: str) -> bool:
    """Whether a manufacturer (of the equipment or of contributing equipment) or a coding scheme of an object is that of dicom-node."""
    makers = {maker.strip().casefold() for maker in manufacturers}
    return MANUFACTURER in makers or own_scheme in {scheme.strip() for scheme in coding_schemes}


def is_secondary_capture(sop_class_uid: str) -> bool:
    """Whether the class is Secondary Capture, single or multi-frame (PS3.4 B.5): its values are not those of an acquisition."""
    return sop_class_uid == SECONDARY_CAPTURE or sop_class_uid.startswith(f"{SECONDARY_CAPTURE}.")
