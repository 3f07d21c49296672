"""The key images of a result: selected images, description and observer."""

import hashlib
import io
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import Collection

from core.concepts import codes
from core.errors import EncodingError
from core.records import Prediction
from core.states import Outcome
from tests.support import analyses, analyses_with_images
from tests.support.fresh_process import hashes_in_new_process
from workers.encode.analysis import Analysis
from workers.encode.objects import key_images


def document(analysis: Analysis) -> Dataset:
    made = key_images.encode(analysis)
    assert made is not None
    return dcmread(io.BytesIO(made.content))


def images(found: Dataset) -> list[Dataset]:
    return [item.ReferencedSOPSequence[0] for item in found.ContentSequence if item.ValueType == "IMAGE"]


def test_images_with_findings_are_listed_once() -> None:
    findings = (analyses.nodule(), analyses.nodule(1), replace(analyses.nodule(), image_point=(9.0, 9.0)))
    found = document(analyses.ct(Prediction(Outcome.FINDINGS, findings)))
    assert [item.ReferencedSOPInstanceUID for item in images(found)] == ["2.25.1003", "2.25.1004"]
    assert all("ReferencedFrameNumber" not in item for item in images(found))
    (study,) = found.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("2.25.100", "2.25.200")
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == ["2.25.1003", "2.25.1004"]


def test_frames_of_a_multi_frame_image() -> None:
    analysis = analyses.ct(Prediction(Outcome.FINDINGS, ()))
    image = replace(analysis.source.images[0], number_of_frames=40)
    findings = tuple(replace(analyses.nodule(), sop_instance_uid=image.sop_instance_uid, frame=frame) for frame in (17, 4, 17))
    found = document(replace(analysis, source=replace(analysis.source, images=(image,)), prediction=Prediction(Outcome.FINDINGS, findings)))
    (item,) = images(found)
    assert list(item.ReferencedFrameNumber) == [4, 17]


def test_of_a_photograph_with_several_frames_the_first_is_meant() -> None:
    analysis = analyses_with_images.lesion()
    image = replace(analysis.source.images[0], number_of_frames=3)
    found = document(replace(analysis, source=replace(analysis.source, images=(image,))))
    (item,) = images(found)
    assert item.ReferencedFrameNumber == 1


def test_title_template_and_description() -> None:
    found = document(analyses_with_images.chest())
    title = found.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator) == (codes.OF_INTEREST.value, "DCM")
    assert codes.OF_INTEREST.value in {concept.value for concept in Collection("CID7010").concepts.values()}
    assert (found.ContentTemplateSequence[0].MappingResource, found.ContentTemplateSequence[0].TemplateIdentifier) == ("DCMR", "2010")
    (text,) = [item.TextValue for item in found.ContentSequence if item.ValueType == "TEXT" and item.RelationshipType == "CONTAINS"]
    assert text.startswith("RESEARCH - not for clinical use. Images with findings of lung_nodule_ct 1.0.0")
    assert "1 · Nodule: score 0.93, not calibrated, to be reviewed" in text
    assert analyses.CT_MODEL.not_for in text
    assert found.SeriesDescription == "AI lung nodules: key images (research)"
    assert found.Modality == "KO"
    assert [item.UID for item in found.ContentSequence if item.ValueType == "UIDREF"]
    assert found.ReferencedRequestSequence[0].RequestedProcedureID == "RP-5"


def test_clinical_models_are_not_called_research() -> None:
    analysis = analyses_with_images.lesion()
    found = document(replace(analysis, identity=replace(analysis.identity, status="clinical", not_for="Not alone.")))
    assert "RESEARCH" not in found.to_json().upper().replace("FORRESEARCH", "")
    assert "probability 81 %, calibrated" in found.to_json()


@pytest.mark.parametrize("outcome", [Outcome.NO_FINDING, Outcome.ABSTAINED, Outcome.NOT_ANALYSED])
def test_nothing_found_selects_nothing(outcome: Outcome) -> None:
    assert key_images.encode(analyses.ct(Prediction(outcome, reason="r"))) is None


def test_findings_on_no_image_select_nothing() -> None:
    finding = replace(analyses.nodule(), sop_instance_uid="")
    assert key_images.encode(analyses.ct(Prediction(Outcome.FINDINGS, (finding,)))) is None


def test_an_image_of_another_series_is_a_defect() -> None:
    finding = replace(analyses.nodule(), sop_instance_uid="2.25.9")
    with pytest.raises(EncodingError):
        key_images.encode(analyses.ct(Prediction(Outcome.FINDINGS, (finding,))))


def test_same_analysis_gives_the_same_bytes() -> None:
    made = key_images.encode(analyses_with_images.lesion())
    assert made is not None
    assert [hashlib.sha256(made.content).hexdigest()] == hashes_in_new_process("key_images", "lesion")
