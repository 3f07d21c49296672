"""The imaging requests of a unit, for Referenced Request Sequence of its report (PS3.3 C.17.2)."""

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from imaging.wire.tolerant_values import TolerantReader
from workers.encode.source_attributes import REQUEST, copy_element, copy_items


def read_requests(dataset: Dataset, read: TolerantReader, dropped: list[str]) -> tuple[Dataset, ...]:
    """One item for each requested procedure of the Request Attributes macro (PS3.3 10.6), else one if the header names a request."""
    requests = [_request(item, read, dropped) for item in copy_items(dataset, "RequestAttributesSequence", dropped)]
    names_request = any(dataset.get(word) for word in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureCodeSequence"))
    if not requests and names_request:
        requests.append(_request(dataset, read, dropped))
    return tuple(requests)


def _request(item: Dataset, read: TolerantReader, dropped: list[str]) -> Dataset:
    request = Dataset()
    for keyword in REQUEST:
        copy_element(item, keyword, request, dropped)
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
