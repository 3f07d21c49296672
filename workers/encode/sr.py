"""The Comprehensive 3D SR document of one analysed unit (PS3.3 A.35.13), through highdicom.

highdicom writes the time of day, its own equipment and random UIDs where it is not told; here it is told everything,
so that the same analysis gives the same bytes.
"""

import warnings
from typing import Any

import highdicom.sr as hdsr
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from core.iods import TYPE_2
from core.records import ReportObject
from core.states import ReportKind
from core.uids import result_uid
from workers.encode import content
from workers.encode.analysis import Analysis
from workers.encode.common import MAX_LO, SERIES_NUMBERS, add_origin, add_source, part10, series_description
from workers.encode.text import UTF8, local_time


class _Document(hdsr.Comprehensive3DSR):
    """highdicom's document without what it takes from the source by itself: `encode` puts in what is meant."""

    def copy_patient_and_study_information(self, dataset: Dataset) -> None:
        """Nothing: highdicom copies as it finds, which only works for images without a flaw."""

    def _add_contributing_equipment(self, *_: Any, **__: Any) -> None:
        """Nothing: highdicom's entry holds the time of day."""


def encode(analysis: Analysis, *, profile: str = "sr") -> ReportObject:
    """The report as a Part 10 file, Explicit VR Little Endian.

    ``profile``: which of several results of the same analysis, when destinations get different ones; part of its UID.

    Raises
    ------
    EncodingError
        A finding refers to an image outside the unit, or the time zone setting is none.
    """
    identity = (analysis.installation, analysis.key, analysis.revision, analysis.run)
    sop_instance_uid = result_uid(*identity, ReportKind.SR, profile)
    series_instance_uid = result_uid(*identity, "series", profile)
    date, time, offset = local_time(analysis.started_at, analysis.source.time_zone, analysis.time_zone)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, about values that are kept as the source wrote them (see source.py)
        document = _document(analysis, sop_instance_uid, series_instance_uid, date, time)
        add_source(document, analysis)
        if offset:
            document.TimezoneOffsetFromUTC = offset
        add_origin(document, analysis, ReportKind.SR)
        _add_predecessors(document, analysis)
        return ReportObject(
            kind=ReportKind.SR,
            profile=profile,
            sop_class_uid=str(Comprehensive3DSRStorage),
            sop_instance_uid=sop_instance_uid,
            series_instance_uid=series_instance_uid,
            content=part10(document, analysis.source.character_set),
        )


def _document(analysis: Analysis, sop_instance_uid: str, series_instance_uid: str, date: str, time: str) -> _Document:
    model = analysis.identity
    document = _Document(
        evidence=_evidence(analysis),
        content=content.report(analysis),
        series_instance_uid=series_instance_uid,
        series_number=SERIES_NUMBERS[ReportKind.SR],
        sop_instance_uid=sop_instance_uid,
        instance_number=1,
        manufacturer=model.manufacturer[:MAX_LO],
        manufacturer_model_name=model.name[:MAX_LO],
        software_versions=model.version[:MAX_LO],
        device_serial_number=str(analysis.installation),
        is_complete=True,
        is_final=False,
        is_verified=False,
        requested_procedures=list(analysis.source.requests) or None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set=UTF8,
        series_description=series_description(analysis),
        content_date=date,
        content_time=time,
        series_date=date,
        series_time=time,
    )
    document.InstanceCreationDate, document.InstanceCreationTime = DA(date), TM(time)
    return document


def _evidence(analysis: Analysis) -> list[Dataset]:
    """A data set for each input and companion: what references need, and the type 2 elements that highdicom asks the first for."""
    source = analysis.source
    named = [(image.sop_class_uid, image.sop_instance_uid, source.series_instance_uid) for image in source.images]
    named += [(one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid) for one in analysis.companions]
    items = []
    for sop_class_uid, sop_instance_uid, series_instance_uid in named:
        item = Dataset()
        item.SOPClassUID, item.SOPInstanceUID = sop_class_uid, sop_instance_uid
        item.StudyInstanceUID, item.SeriesInstanceUID = source.study_instance_uid, series_instance_uid
        items.append(item)
    for keyword in TYPE_2:
        setattr(items[0], keyword, "")
    return items


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
