"""Reads the tracking identifiers of a stored report, so that an assessment refers to findings as the report that was sent names them."""

import io
from collections.abc import Iterator

from pydicom import dcmread
from pydicom.dataset import Dataset

from core.records import Code
from workers.encode.sr import concept_names


def read_tracking(content: bytes) -> dict[int, tuple[str, str]]:
    """Return Tracking Identifier and Tracking UID (TID 4108) of each finding of a report of this node, by the number of the finding.

    ``content``: the Part 10 file. Number 0 is the group of a result without findings.
    """
    found: dict[int, tuple[str, str]] = {}
    for measurements in _named(dcmread(io.BytesIO(content)), concept_names.IMAGING_MEASUREMENTS):
        for group in _named(measurements, concept_names.MEASUREMENT_GROUP):
            names = [str(item.TextValue) for item in _named(group, concept_names.TRACKING_IDENTIFIER)]
            uids = [str(item.UID) for item in _named(group, concept_names.TRACKING_UID)]
            for name, uid in zip(names, uids, strict=True):
                number = name.rpartition(" ")[2]  # `workers.encode.sr.tracking_identifiers`: the model's name and the finding's number
                if number.isdecimal():
                    found[int(number)] = name, uid
    return found


def _named(parent: Dataset, name: Code) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence", ()):
        concept = item.get("ConceptNameCodeSequence", ())
        if concept and (concept[0].get("CodeValue"), concept[0].get("CodingSchemeDesignator")) == (name.value, name.scheme):
            yield item
