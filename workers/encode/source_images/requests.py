"""The imaging requests of a unit, as documents (Referenced Request Sequence, PS3.3 C.17.2) and other objects state them (10.6)."""

from collections.abc import Sequence

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from imaging.wire.tolerant_values import TolerantReader
from workers.encode.source_images.attributes import REQUEST, copy_element, copy_items

_ORDER_NUMBERS = frozenset({"PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest"})  # of documents only


def read_requests(dataset: Dataset, read: TolerantReader, dropped: list[str]) -> tuple[Dataset, ...]:
    """One item for each requested procedure of the Request Attributes macro (PS3.3 10.6), else one if the header names a request."""
    requests = [_request(item, dataset, read, dropped) for item in copy_items(dataset, "RequestAttributesSequence", dropped)]
    names_request = any(dataset.get(word) for word in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureCodeSequence"))
    if not requests and names_request:
        requests.append(_request(dataset, dataset, read, dropped))
    return tuple(requests)


def request_attributes(requests: Sequence[Dataset]) -> list[Dataset]:
    """Items of Request Attributes Sequence (PS3.3 10.6), one for each of the ``requests`` that has a Requested Procedure ID.

    The scheduled procedure step of the images is left out: it is not the step that made the result.
    """
    items = []
    for request in requests:
        item = Dataset()
        for element in request:
            if not element.is_empty and element.keyword not in _ORDER_NUMBERS:
                item.add(element)
        if "RequestedProcedureID" in item:
            items.append(item)
    return items


def _request(item: Dataset, dataset: Dataset, read: TolerantReader, dropped: list[str]) -> Dataset:
    """``read``: a reader of the ``dataset``, whose accession number is that of an item without one, with its issuer."""
    request = Dataset()
    for keyword in REQUEST:
        copy_element(item, keyword, request, dropped)
    if "AccessionNumber" not in request:
        copy_element(dataset, "IssuerOfAccessionNumberSequence", request, dropped)
    study_of_item = TolerantReader(item, []).text("StudyInstanceUID")
    request.StudyInstanceUID = study_of_item or read.text("StudyInstanceUID")
    for keyword, value in (
        ("AccessionNumber", read.text("AccessionNumber")),
        ("PlacerOrderNumberImagingServiceRequest", ""),
        ("FillerOrderNumberImagingServiceRequest", ""),
        ("RequestedProcedureID", ""),
        ("RequestedProcedureDescription", ""),
    ):
        if keyword not in request:
            request.add(DataElement(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    for keyword in ("ReferencedStudySequence", "RequestedProcedureCodeSequence"):
        if keyword not in request:
            setattr(request, keyword, [])
    return request
