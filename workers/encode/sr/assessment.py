"""The assessment of a result as a Comprehensive 3D SR document (PS3.3 A.35.13): the content tree and the modules around it."""

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset

from core.records import ResultObject
from core.states import ResultKind
from core.uids import IMPLEMENTATION_VERSION_NAME
from db.verdicts.assessment_records import AssessedReport, JudgedFinding
from imaging.wire.notes import warnings_discarded
from workers.encode.analysis import Analysis
from workers.encode.part10_file import encode_object
from workers.encode.sr.assessment_tree import assessment_tree
from workers.encode.sr.document import new_report
from workers.encode.sr.evidence import evidence_item

MAKER = "dicom-node"


def encode_assessment(
    analysis: Analysis, judged: Sequence[JudgedFinding], report: AssessedReport, tracking: Mapping[int, tuple[str, str]], *, profile: str
) -> ResultObject:
    """The assessment as a Part 10 file.

    Parameters
    ----------
    analysis
        The result: its source, its model, and the time of the last verdict as the start. Its predecessors are earlier assessments.
    judged
        The current verdicts, at least one.
    report
        The report to which the assessment refers.
    tracking
        Tracking Identifier and UID in that report, by the number of the finding.
    profile
        Which assessment of the result, part of its UID.

    Raises
    ------
    EncodingError
        A verdict refers to an image outside of the unit, or the time zone setting is not a time zone.
    """
    with warnings_discarded():  # pydicom warns of identifiers that are copied as the source wrote them
        document = new_report(analysis, ResultKind.ASSESSMENT, profile, _evidence(analysis, report))
        document.Manufacturer, document.ManufacturerModelName, document.SoftwareVersions = MAKER, MAKER, IMPLEMENTATION_VERSION_NAME
        return encode_object(
            document,
            kind=ResultKind.ASSESSMENT,
            profile=profile,
            source_character_set=analysis.source.character_set,
            content_tree=assessment_tree(analysis, judged, report, tracking),
        )


def _evidence(analysis: Analysis, report: AssessedReport) -> Dataset:
    """All images of the unit, and the report that is assessed."""
    images = {image.sop_instance_uid: image.sop_class_uid for image in analysis.source.images}
    sop_class_uid, sop_instance_uid, series_instance_uid = report.uids
    listed = {analysis.source.series_instance_uid: images, series_instance_uid: {sop_instance_uid: sop_class_uid}}
    return evidence_item(analysis.source.study_instance_uid, listed)
