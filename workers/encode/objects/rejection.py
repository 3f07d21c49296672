"""The rejection of an outdated result's objects at a destination that has stored them: a Key Object Selection (IHE IOCM, TID 2010).

Titled "Rejected for Quality Reasons" (113001, DCM) of CID 7010, because a better answer has come and nothing was unsafe or of the wrong
patient. Archives hide rejected objects from regular use and keep them for audit. The report is not rejected: its successor names it as
predecessor.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from core import codes
from core.records import ResultObject
from core.states import ResultKind
from db.jobs.job_records import StoredElsewhere
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import new_result_dataset
from workers.encode.part10_file import encode_object
from workers.encode.result_identity import is_research
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ContentItem
from workers.encode.sr.content_tree import device_observer
from workers.encode.sr.evidence import evidence_item


def encode(analysis: Analysis, outdated: Sequence[StoredElsewhere], *, destination: str) -> ResultObject:
    """The rejection, as a Part 10 file, of the objects ``outdated`` (at least one) that one destination has stored."""
    kind, profile = ResultKind.REJECTION, f"{ResultKind.REJECTION}@{destination}"
    document = new_result_dataset(analysis, kind, profile, sop_class_uid=KeyObjectSelectionDocumentStorage, modality="KO")
    document.ReferencedPerformedProcedureStepSequence = []
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(analysis, outdated)]
    tree = content_items.key_object_root(codes.REJECTED, [*device_observer(analysis), _description(analysis), *map(_reference, outdated)])
    return encode_object(document, kind=kind, profile=profile, source_character_set=analysis.source.character_set, content_tree=tree)


def _description(analysis: Analysis) -> ContentItem:
    status = f"{finding_text.RESEARCH}. " if is_research(analysis) else ""
    why = f"{finding_text.model_line(analysis)} has answered again for the same images, and these objects are of the answer before"
    text = f"{status}Outdated: {why}."
    return content_items.text_item(codes.KEY_OBJECT_DESCRIPTION, text)


def _reference(item: StoredElsewhere) -> ContentItem:
    """A reference without a concept name, which TID 2010 forbids."""
    return content_items.reference_item(None, (item.sop_class_uid, item.sop_instance_uid, None))


def _evidence(analysis: Analysis, outdated: Sequence[StoredElsewhere]) -> Dataset:
    """The rejected objects by series; archives act on this list."""
    instances: dict[str, dict[str, str]] = {}
    for item in outdated:
        instances.setdefault(item.series_instance_uid, {})[item.sop_instance_uid] = item.sop_class_uid
    return evidence_item(analysis.source.study_instance_uid, instances)
