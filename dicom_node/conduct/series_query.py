"""Asks a source how many instances a series has: C-FIND, Study Root (PS3.4 C.4.1, C.6.2)."""

import threading
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from core.settings.peers.sources import PeerAddress
from dicom_node.requestor import NoAssociation, request_association, requestor_of_title

PENDING = (0xFF00, 0xFF01)
MAX_RESPONSES = 100_000


@dataclass(frozen=True, slots=True)
class InstanceCount:
    """The source's answer. ``value`` None: there is no usable answer. ``text``: how it was counted, or why it was not."""

    value: int | None
    text: str


def count_instances(
    our_ae: str, address: PeerAddress, *, study_instance_uid: str, series_instance_uid: str, timeout_s: float = 20.0
) -> InstanceCount:
    """Query Number of Series Related Instances (0020,1209); where the source does not return it, count the images of the series.

    Never raises: completion does not depend on an answer.
    """
    entity = requestor_of_title(our_ae, timeout_s)
    entity.network_timeout = timeout_s
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = request_association(entity, address)
    if isinstance(association, NoAssociation):
        return InstanceCount(None, association.reason)
    abort_timer = threading.Timer(timeout_s * 2, association.abort)
    abort_timer.start()
    try:
        count = _related_instances(association, study_instance_uid, series_instance_uid)
        if count is not None:
            return InstanceCount(count, "Number of Series Related Instances")
        return _count_images(association, study_instance_uid, series_instance_uid)
    except (RuntimeError, ValueError) as error:  # the association ended meanwhile, or the context was not accepted
        return InstanceCount(None, f"{type(error).__name__} during the query")
    finally:
        abort_timer.cancel()
        if association.is_established:
            association.release()


def _identifier(level: str, study_instance_uid: str, series_instance_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _related_instances(association: Association, study: str, series: str) -> int | None:
    identifier = _identifier("SERIES", study, series)
    identifier.NumberOfSeriesRelatedInstances = None
    found = None
    # Every response is read: a response that is left would be taken for one of the next query.
    for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
        if status and status.get("Status") in PENDING and answer is not None and answer.get("SeriesInstanceUID") == series:
            found = answer.get("NumberOfSeriesRelatedInstances")
    try:
        return int(found) or None if found is not None else None
    except (TypeError, ValueError):
        return None


def _count_images(association: Association, study: str, series: str) -> InstanceCount:
    identifier = _identifier("IMAGE", study, series)
    identifier.SOPInstanceUID = ""
    found: set[str] = set()
    last = None
    for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
        last = status.get("Status") if status else None
        if last in PENDING and answer is not None and len(found) < MAX_RESPONSES:
            found.add(str(answer.get("SOPInstanceUID", "")))
    found.discard("")
    if last != 0x0000:
        return InstanceCount(None, "no answer in time" if last is None else f"C-FIND ended with 0x{last:04X}")
    return InstanceCount(len(found), "images counted") if found else InstanceCount(None, "the source knows no such series")
