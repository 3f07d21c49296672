"""How many instances the source says a series has: C-FIND, Study Root (PS3.4 C.4.1, C.6.2)."""

import threading
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from core.settings.sources import PeerAddress
from dicom_node.association import NoAssociation, associate, entity

PENDING = (0xFF00, 0xFF01)
MAX_ANSWERS = 100_000


@dataclass(frozen=True, slots=True)
class Count:
    """The source's answer; ``value`` None: no answer that counts, and ``words`` say why."""

    value: int | None
    words: str


def count_instances(
    our_ae: str, address: PeerAddress, *, study_instance_uid: str, series_instance_uid: str, timeout_s: float = 20.0
) -> Count:
    """Ask for Number of Series Related Instances (0020,1209); where the source does not give it, count its images.

    Never raises: a source that does not answer is no reason to stop.
    """
    requestor = entity(our_ae, timeout_s)
    requestor.network_timeout = timeout_s
    requestor.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
    association = associate(requestor, address)
    if isinstance(association, NoAssociation):
        return Count(None, association.words)
    overdue = threading.Timer(timeout_s * 2, association.abort)
    overdue.start()
    try:
        stated = _stated(association, study_instance_uid, series_instance_uid)
        if stated is not None:
            return Count(stated, "Number of Series Related Instances")
        return _counted(association, study_instance_uid, series_instance_uid)
    except (RuntimeError, ValueError) as error:  # the association ended meanwhile, or the context was not accepted
        return Count(None, f"{type(error).__name__} while asking")
    finally:
        overdue.cancel()
        if association.is_established:
            association.release()


def _identifier(level: str, study_instance_uid: str, series_instance_uid: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SeriesInstanceUID = series_instance_uid
    return identifier


def _stated(association: Association, study: str, series: str) -> int | None:
    identifier = _identifier("SERIES", study, series)
    identifier.NumberOfSeriesRelatedInstances = None
    found = None
    # Every answer is taken, to the last: what is left behind would be read as the answer to the next question.
    for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
        if status and status.get("Status") in PENDING and answer is not None and answer.get("SeriesInstanceUID") == series:
            found = answer.get("NumberOfSeriesRelatedInstances")
    try:
        return int(found) or None if found is not None else None
    except (TypeError, ValueError):
        return None


def _counted(association: Association, study: str, series: str) -> Count:
    identifier = _identifier("IMAGE", study, series)
    identifier.SOPInstanceUID = ""
    found: set[str] = set()
    last = None
    for status, answer in association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind):
        last = status.get("Status") if status else None
        if last in PENDING and answer is not None and len(found) < MAX_ANSWERS:
            found.add(str(answer.get("SOPInstanceUID", "")))
    found.discard("")
    if last != 0x0000:
        return Count(None, "no answer in time" if last is None else f"C-FIND ended with 0x{last:04X}")
    return Count(len(found), "images counted") if found else Count(None, "the source knows no such series")
