"""The Comprehensive 3D SR document of one analysed unit (PS3.3 A.35.13): the content tree and the modules around it.

highdicom's document and templates are not used: they make a data set of each content item, copy the whole tree three times, draw UIDs
and times of their own, and check what `workers.encode.validate` checks in the bytes.
"""

from pydicom.dataset import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage

from core.records import ResultObject
from core.states import ResultKind
from imaging.wire.notes import warnings_discarded
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import new_result_dataset
from workers.encode.part10_file import encode_object
from workers.encode.result_identity import object_uid
from workers.encode.sr.content_tree import build_content_tree
from workers.encode.sr.evidence import evidence_item


def encode(analysis: Analysis, *, profile: str = "sr") -> ResultObject:
    """The report as a Part 10 file.

    ``profile``: which of several reports on the same analysis, if destinations receive different ones; part of its UID.

    Raises
    ------
    EncodingError
        A finding refers to an image outside the unit, or the time zone setting is not a time zone.
    """
    with warnings_discarded():  # pydicom warns of identifiers that are copied as the source wrote them
        return encode_object(
            new_report(analysis, ResultKind.SR, profile, _evidence(analysis)),
            kind=ResultKind.SR,
            profile=profile,
            source_character_set=analysis.source.character_set,
            content_tree=build_content_tree(analysis),
        )


def new_report(analysis: Analysis, kind: ResultKind, profile: str, evidence: Dataset) -> Dataset:
    """A structured report of the unit without its content tree. ``evidence``: item of the objects that it refers to."""
    document = new_result_dataset(analysis, kind, profile, sop_class_uid=Comprehensive3DSRStorage, modality="SR")
    if kind is ResultKind.SR:
        document.SeriesInstanceUID = UID(object_uid(analysis, "series", profile))  # by profile: there may be several reports
    document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    document.CurrentRequestedProcedureEvidenceSequence = [evidence]
    if other := _other_evidence(analysis):
        document.PertinentOtherEvidenceSequence = other
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.PerformedProcedureCodeSequence, document.ReferencedPerformedProcedureStepSequence = [], []
    add_predecessors(document, analysis)
    return document


def _evidence(analysis: Analysis) -> Dataset:
    """All images of the unit and all related objects, each once."""
    source = analysis.source
    instances: dict[str, dict[str, str]] = {source.series_instance_uid: {}}
    for image in source.images:
        instances[source.series_instance_uid].setdefault(image.sop_instance_uid, image.sop_class_uid)
    for related in analysis.related_objects:
        instances.setdefault(related.series_instance_uid, {}).setdefault(related.sop_instance_uid, related.sop_class_uid)
    return evidence_item(source.study_instance_uid, instances)


def _other_evidence(analysis: Analysis) -> list[Dataset]:
    """The reports on earlier examinations that the content tree refers to, by study."""
    studies: dict[str, dict[str, dict[str, str]]] = {}
    for prior, report in () if analysis.earlier is None else analysis.earlier.referenced:
        series = studies.setdefault(prior.study_instance_uid, {}).setdefault(report.series_instance_uid, {})
        series[report.sop_instance_uid] = report.sop_class_uid
    return [evidence_item(uid, instances) for uid, instances in studies.items()]


def add_predecessors(document: Dataset, analysis: Analysis) -> None:
    """Predecessor Documents Sequence (PS3.3 C.17.2): the reports that this one replaces."""
    items = []
    for predecessor in analysis.predecessors:
        instance = Dataset()
        instance.ReferencedSOPClassUID = predecessor.sop_class_uid
        instance.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
        series = Dataset()
        series.ReferencedSOPSequence = [instance]
        series.SeriesInstanceUID = predecessor.series_instance_uid
        study = Dataset()
        study.ReferencedSeriesSequence = [series]
        study.StudyInstanceUID = analysis.source.study_instance_uid
        items.append(study)
    if items:
        document.PredecessorDocumentsSequence = items
