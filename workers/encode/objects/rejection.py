"""What a destination has stored of an outdated result is rejected there: a Key Object Selection as IHE IOCM asks for (TID 2010).

Titled "Rejected for Quality Reasons" (113001, DCM) of CID 7010: nothing was unsafe or wrong about the patient, a better answer
has come. Archives hide what is so rejected from regular use and keep it for those who audit. The report itself is not
rejected: its successor names it as predecessor.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID, EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage

from core import codes
from core.records import ResultObject
from core.states import ResultKind
from db.jobs.job_records import StoredElsewhere
from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.common import head, is_research, part10
from workers.encode.sr import content_items
from workers.encode.sr.content import observer
from workers.encode.sr.content_items import Item

NO_IMAGES = frozenset({str(EncapsulatedPDFStorage), str(KeyObjectSelectionDocumentStorage)})


def encode(analysis: Analysis, outdated: Sequence[StoredElsewhere], *, destination: str) -> ResultObject:
    """The rejection of ``outdated`` (at least one), made for one destination, as a Part 10 file."""
    kind, profile = ResultKind.REJECTION, f"{ResultKind.REJECTION}@{destination}"
    document = head(analysis, kind, profile, sop_class_uid=KeyObjectSelectionDocumentStorage, modality="KO")
    document.ReferencedPerformedProcedureStepSequence = []
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(analysis, outdated)]
    tree = content_items.selection(codes.REJECTED, [*observer(analysis), _description(analysis), *(_reference(one) for one in outdated)])
    return ResultObject(
        kind=kind,
        profile=profile,
        sop_class_uid=str(KeyObjectSelectionDocumentStorage),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=part10(document, analysis.source.character_set, tree),
    )


def _description(analysis: Analysis) -> Item:
    status = f"{words.RESEARCH}. " if is_research(analysis) else ""
    why = f"{words.model_line(analysis)} has answered again for the same images, and these objects are of the answer before"
    text = f"{status}Outdated: {why}."
    return content_items.text(codes.KEY_OBJECT_DESCRIPTION, text)


def _reference(item: StoredElsewhere) -> Item:
    """TID 2010: an image as such, what is none as a composite object; without a concept name, which the template forbids."""
    kind = "COMPOSITE" if item.sop_class_uid in NO_IMAGES else "IMAGE"
    return content_items.image(None, (item.sop_class_uid, item.sop_instance_uid, None), kind=kind)


def _instance(item: StoredElsewhere) -> Dataset:
    instance = Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = UID(item.sop_class_uid), UID(item.sop_instance_uid)
    return instance


def _evidence(analysis: Analysis, outdated: Sequence[StoredElsewhere]) -> Dataset:
    """By study and series (PS3.3 C.17.2.3): archives act on this list."""
    study = Dataset()
    study.StudyInstanceUID = UID(analysis.source.study_instance_uid)
    series: dict[str, Dataset] = {}
    for item in outdated:
        if item.series_instance_uid not in series:
            series[item.series_instance_uid] = Dataset()
            series[item.series_instance_uid].SeriesInstanceUID = UID(item.series_instance_uid)
            series[item.series_instance_uid].ReferencedSOPSequence = []
        series[item.series_instance_uid].ReferencedSOPSequence.append(_instance(item))
    study.ReferencedSeriesSequence = list(series.values())
    return study
