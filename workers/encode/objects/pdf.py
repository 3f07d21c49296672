"""The result page for clinicians, as Encapsulated PDF (PS3.3 A.45.1)."""

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from core.concepts import codes
from core.records import ResultObject
from core.states import ResultKind
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import add_recognizable_features, code_sequence_item, new_result_dataset, sop_reference
from workers.encode.page.render import render_pdf
from workers.encode.part10_file import encode_object
from workers.encode.pictures.finding_views import finding_views
from workers.encode.result_identity import is_research
from workers.encode.sr.content_tree import referenced_images

PROFILE = "pdf"


def encode(analysis: Analysis) -> ResultObject:
    """The page as a Part 10 file. Every outcome has one, no finding and not analysed too."""
    kind = ResultKind.PDF
    document = new_result_dataset(analysis, kind, PROFILE, sop_class_uid=EncapsulatedPDFStorage, modality="DOC")
    content = render_pdf(analysis, finding_views(analysis))
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "YES"  # the page names the patient
    add_recognizable_features(document, analysis)
    status = f"{finding_text.RESEARCH_SHORT}: " if is_research(analysis) else ""
    document.DocumentTitle = f"{status}{analysis.identity.title}"
    document.ConceptNameCodeSequence = [code_sequence_item(codes.IMAGING_REPORT)]
    document.VerificationFlag = "UNVERIFIED"
    document.SourceInstanceSequence = [_source_item(analysis, uid) for uid in _source_images(analysis)]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return encode_object(document, kind=kind, profile=PROFILE, source_character_set=analysis.source.character_set)


def _source_images(analysis: Analysis) -> list[str]:
    """SOP Instance UIDs of the images that findings are seen on; of all images of the unit if there is none."""
    return list(referenced_images(analysis.prediction.findings)) or [image.sop_instance_uid for image in analysis.source.images]


def _source_item(analysis: Analysis, sop_instance_uid: str) -> Dataset:
    item = sop_reference(analysis.source.image(sop_instance_uid))
    item.PurposeOfReferenceCodeSequence = [code_sequence_item(codes.SOURCE_FOR_PROCESSING)]
    return item
