"""The Comprehensive 3D SR document of one analysed unit (PS3.3 A.35.13): the content tree with what stands around it.

highdicom's document and templates are not used: they make a data set of each content item, copy the whole tree three times, draw UIDs
and times of their own, and check what `validate` checks in the bytes.
"""

import warnings
from collections.abc import Mapping

from pydicom.dataset import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage

from core.records import ResultObject
from core.states import ResultKind
from imaging.wire.writer import REFERENCED_SOP_SEQUENCE, encode_referenced_sops
from workers.encode.analysis import Analysis
from workers.encode.common import head, object_uid, part10
from workers.encode.sr import content


def encode(analysis: Analysis, *, profile: str = "sr") -> ResultObject:
    """The report as a Part 10 file, Explicit VR Little Endian.

    ``profile``: which of several results of the same analysis, when destinations get different ones; part of its UID.

    Raises
    ------
    EncodingError
        A finding refers to an image outside the unit, or the time zone setting is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about values that are kept as the source wrote them (see source.py)
        document = _document(analysis, profile)
        return ResultObject(
            kind=ResultKind.SR,
            profile=profile,
            sop_class_uid=str(Comprehensive3DSRStorage),
            sop_instance_uid=str(document.SOPInstanceUID),
            series_instance_uid=str(document.SeriesInstanceUID),
            content=part10(document, analysis.source.character_set, content.report(analysis)),
        )


def _document(analysis: Analysis, profile: str) -> Dataset:
    document = head(analysis, ResultKind.SR, profile, sop_class_uid=Comprehensive3DSRStorage, modality="SR")
    document.SeriesInstanceUID = UID(object_uid(analysis, "series", profile))  # not by kind: there may be several reports
    document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(analysis)]
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.PerformedProcedureCodeSequence, document.ReferencedPerformedProcedureStepSequence = [], []
    _add_predecessors(document, analysis)
    return document


def _evidence(analysis: Analysis) -> Dataset:
    """All inputs and companions by series (PS3.3 C.17.2.3), each once, written at once: a study has hundreds of them."""
    source = analysis.source
    by_series: dict[str, dict[str, str]] = {source.series_instance_uid: {}}
    for image in source.images:
        by_series[source.series_instance_uid].setdefault(image.sop_instance_uid, image.sop_class_uid)
    for one in analysis.companions:
        by_series.setdefault(one.series_instance_uid, {}).setdefault(one.sop_instance_uid, one.sop_class_uid)
    study = Dataset()
    study.StudyInstanceUID = source.study_instance_uid
    study.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in by_series.items()]
    return study


def _series(series_instance_uid: str, instances: Mapping[str, str]) -> Dataset:
    """``instances``: SOP class by SOP instance."""
    series = Dataset()
    series.SeriesInstanceUID = series_instance_uid
    series[REFERENCED_SOP_SEQUENCE] = encode_referenced_sops(instances)
    return series


def _add_predecessors(document: Dataset, analysis: Analysis) -> None:
    """Predecessor Documents Sequence (PS3.3 C.17.2): what this document takes the place of."""
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
