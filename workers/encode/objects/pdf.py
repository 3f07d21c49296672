"""The page that a clinician reads, as Encapsulated PDF (PS3.3 A.45.1)."""

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from core import codes
from core.records import ResultObject
from core.states import ResultKind
from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.common import code_item, head, is_research, part10
from workers.encode.page.render import render
from workers.encode.pictures.views import views
from workers.encode.planes import reference

PROFILE = "pdf"


def encode(analysis: Analysis) -> ResultObject:
    """The page as a Part 10 file. There is always one: no finding, no answer and not analysed are said too."""
    kind = ResultKind.PDF
    document = head(analysis, kind, PROFILE, sop_class_uid=EncapsulatedPDFStorage, modality="DOC")
    content = render(analysis, views(analysis))
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "YES"  # the page names the patient
    status = f"{words.RESEARCH_SHORT}: " if is_research(analysis) else ""
    document.DocumentTitle = f"{status}{analysis.identity.title}"
    document.ConceptNameCodeSequence = [code_item(codes.IMAGING_REPORT)]
    document.VerificationFlag = "UNVERIFIED"
    document.SourceInstanceSequence = [_source(analysis, uid) for uid in _shown(analysis)]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return ResultObject(
        kind=kind,
        profile=PROFILE,
        sop_class_uid=str(EncapsulatedPDFStorage),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=part10(document, analysis.source.character_set),
    )


def _shown(analysis: Analysis) -> list[str]:
    """The images that findings are seen on; all of the unit where there is none."""
    found = dict.fromkeys(finding.sop_instance_uid for finding in analysis.prediction.findings if finding.sop_instance_uid)
    return list(found) or [image.sop_instance_uid for image in analysis.source.images]


def _source(analysis: Analysis, sop_instance_uid: str) -> Dataset:
    item = reference(analysis.source.image(sop_instance_uid))
    item.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_FOR_PROCESSING)]
    return item
