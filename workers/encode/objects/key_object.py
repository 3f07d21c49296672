"""Key Object Selections (TID 2010), which key images and rejections are."""

from collections.abc import Mapping, Sequence

from pydicom.uid import KeyObjectSelectionDocumentStorage

from core.records import Code, ResultObject
from core.states import ResultKind
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import new_result_dataset
from workers.encode.part10_file import encode_object
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ContentItem
from workers.encode.sr.content_tree import device_observer
from workers.encode.sr.evidence import evidence_item


def encode_key_object(
    analysis: Analysis, kind: ResultKind, profile: str, title: Code, items: Sequence[ContentItem],
    selected: Mapping[str, Mapping[str, str]],
) -> ResultObject:  # fmt: skip
    """A selection as a Part 10 file.

    Parameters
    ----------
    items
        Description of the selection, and a reference to each object.
    selected
        The same objects: by Series Instance UID, SOP Class UIDs by SOP Instance UID.
    """
    document = new_result_dataset(analysis, kind, profile, sop_class_uid=KeyObjectSelectionDocumentStorage, modality="KO")
    document.ReferencedPerformedProcedureStepSequence = []
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.CurrentRequestedProcedureEvidenceSequence = [evidence_item(analysis.source.study_instance_uid, selected)]
    tree = content_items.key_object_root(title, [*device_observer(analysis), *items])
    return encode_object(document, kind=kind, profile=profile, source_character_set=analysis.source.character_set, content_tree=tree)
