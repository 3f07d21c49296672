"""Recognition of objects that dicom-node made itself, by the marks in their headers (`core.policy.own_objects`)."""

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core.concepts.private_codes import PRIVATE_SCHEME
from core.policy.own_objects import has_own_mark


def made_by_dicom_node(dataset: Dataset) -> bool:
    """Whether the data set bears a mark of dicom-node.

    Looked for in General Equipment, Contributing Equipment (PS3.3 C.12.1.1.5) and Coding Scheme Identification (C.12.1.1.1).
    """
    makers = [_text(dataset, "Manufacturer"), *_texts_of_items(dataset, "ContributingEquipmentSequence", "Manufacturer")]
    return has_own_mark(makers, _texts_of_items(dataset, "CodingSchemeIdentificationSequence", "CodingSchemeDesignator"), PRIVATE_SCHEME)


def _texts_of_items(dataset: Dataset, sequence: str, keyword: str) -> Iterator[str]:
    items = dataset.get(sequence)
    for item in items if isinstance(items, Sequence) else ():
        yield _text(item, keyword)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword, "")
    return value if isinstance(value, str) else ""
