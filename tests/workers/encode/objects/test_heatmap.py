"""Heat map pictures as Secondary Capture: their number, content and attributes."""

import hashlib
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.concepts import codes
from core.records import Prediction
from core.states import Outcome
from tests.support import analyses, analyses_with_images
from tests.support.fresh_process import hashes_in_new_process
from workers.encode.analysis import Analysis
from workers.encode.objects import heatmap, pdf
from workers.encode.pictures.colours import OUTLINE, WARNING
from workers.encode.pictures.finding_views import MAX_VIEWS, finding_views
from workers.encode.pictures.fonts import font
from workers.encode.pictures.sheet import wrap_text
from workers.encode.pictures.volume_views import SLICE_PX, SMALL_PX
from workers.encode.source_images.source import source_from_dataset
from workers.encode.validate import validator


def documents(analysis: Analysis) -> list[Dataset]:
    return [dcmread(io.BytesIO(made.content)) for made in heatmap.encode(analysis)]


def has(colour: tuple[int, int, int], rgb: np.ndarray) -> int:
    return int((rgb == np.array(colour, np.uint8)).all(axis=2).sum())


def test_one_picture_for_each_finding_most_confident_first() -> None:
    analysis = analyses_with_images.chest()
    lifted = replace(analysis.prediction.findings[2], score=0.99)
    findings = (*analysis.prediction.findings[:2], lifted)
    made = documents(replace(analysis, prediction=replace(analysis.prediction, findings=findings)))
    shown = [document.SourceImageSequence[0].ReferencedSOPInstanceUID for document in made]
    assert shown == [findings[number].sop_instance_uid for number in (2, 0, 1)]
    assert [document.InstanceNumber for document in made] == [1, 2, 3]
    assert len({document.SeriesInstanceUID for document in made}) == 1
    assert len({document.SOPInstanceUID for document in made}) == 3


def test_number_of_pictures_is_limited() -> None:
    analysis = analyses_with_images.chest()
    many = analysis.prediction.findings * 4
    assert len(finding_views(replace(analysis, prediction=replace(analysis.prediction, findings=many)))) == MAX_VIEWS


def test_attributes_of_the_picture() -> None:
    document = documents(analyses_with_images.chest())[0]
    assert document.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (document.Modality, document.ConversionType, list(document.ImageType)) == ("OT", "WSD", ["DERIVED", "SECONDARY"])
    assert document.SeriesDescription == "AI lung nodules: pictures (research)"
    assert document.BurnedInAnnotation == "NO"
    assert (document.ContentDate, document.ContentTime, document.TimezoneOffsetFromUTC) == ("20261120", "103015.250000", "+0100")
    assert document.StudyInstanceUID == "2.25.100"
    assert str(document.PatientName) == "Müller^Änne"
    assert document.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == codes.SOURCE_FOR_PROCESSING.value
    assert document.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.200"
    assert document.pixel_array.shape == (document.Rows, document.Columns, 3)


@pytest.mark.parametrize("said", ["YES", "NO", ""])
def test_burned_in_annotation_is_that_of_the_source(said: str) -> None:
    lesion, chest = analyses_with_images.lesion(), analyses_with_images.chest()
    photograph = documents(replace(lesion, source=replace(lesion.source, burned_in=said)))[0]
    assert photograph.get("BurnedInAnnotation", "") == said
    slices = documents(replace(chest, source=replace(chest.source, burned_in=said)))[0]
    assert slices.BurnedInAnnotation == (said or "NO")
    assert source_from_dataset(analyses.header("XC", BurnedInAnnotation=said), ()).burned_in == said


@pytest.mark.parametrize("said", ["YES", "NO", ""])
def test_recognizable_features_are_those_of_the_source(said: str) -> None:
    lesion = analyses_with_images.lesion()
    lesion = replace(lesion, source=replace(lesion.source, recognizable=said))
    for content in (heatmap.encode(lesion)[0].content, pdf.encode(lesion).content):
        assert validator.validate(content) == ()
        assert dcmread(io.BytesIO(content)).get("RecognizableVisualFeatures", "") == said
    assert source_from_dataset(analyses.header("XC", RecognizableVisualFeatures=said), ()).recognizable == said


def test_lossy_compression_of_the_source_is_stated() -> None:
    analysis = analyses_with_images.lesion()
    lossy = Dataset()
    lossy.LossyImageCompression, lossy.LossyImageCompressionMethod = "01", "ISO_10918_1"
    document = documents(replace(analysis, source=replace(analysis.source, lossy=lossy)))[0]
    assert (document.LossyImageCompression, document.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert "LossyImageCompression" not in documents(analysis)[0]


@pytest.mark.parametrize("made", [analyses_with_images.chest, analyses_with_images.lesion])
def test_pixels_do_not_depend_on_the_patient(made: object) -> None:
    analysis = made()  # type: ignore[operator]
    other = analyses.header(analysis.source.modality, PatientName="Other^Person", PatientID="X-1", AccessionNumber="A-2")
    stranger = replace(analysis, source=replace(analysis.source, attributes=other))
    ours, theirs = documents(analysis), documents(stranger)
    assert str(theirs[0].PatientName) == "Other^Person"
    assert [document.PixelData for document in ours] == [document.PixelData for document in theirs]


def test_research_is_shown_for_research_models_only() -> None:
    analysis = analyses_with_images.chest()
    clinical = replace(analysis, identity=replace(analysis.identity, status="clinical"))
    research, released = documents(analysis)[0], documents(clinical)[0]
    assert has(WARNING, research.pixel_array) > 3000  # the badge
    assert "research" not in released.SeriesDescription
    assert has(WARNING, released.pixel_array) < has(WARNING, research.pixel_array) / 4


def test_ct_view_shows_slice_enlargement_and_perpendicular_plane() -> None:
    analysis = analyses_with_images.chest()
    view = finding_views(analysis)[0]
    captions = [picture.caption for picture in view.pictures]
    assert re.fullmatch(r"axial, z -?[\d.]+ mm, image \d+, window -600/1500 HU", captions[0])
    assert f"image {analysis.source.image(view.sop_instance_uid).number}," in captions[0]  # not as it is counted from the feet
    assert captions[1].endswith("heat map, outline")
    assert captions[2].startswith("coronal")
    assert [picture.heat for picture in view.pictures] == [False, True, False]
    assert all(has(OUTLINE, np.asarray(picture.image)) for picture in view.pictures)


def test_without_evidence_and_outline_the_slice_is_still_shown() -> None:
    analysis = analyses_with_images.chest()
    bare = tuple(replace(finding, mask=None) for finding in analysis.prediction.findings)
    view = finding_views(replace(analysis, heat=None, prediction=replace(analysis.prediction, findings=bare)))[0]
    assert not any(picture.heat for picture in view.pictures)
    assert view.pictures[1].caption.endswith("mm wide")


def test_a_finding_without_position_shows_its_slice() -> None:
    analysis = analyses_with_images.chest()
    finding = replace(analysis.prediction.findings[0], position_mm=None, image_point=None, mask=None)
    view = finding_views(replace(analysis, prediction=replace(analysis.prediction, findings=(finding,))))[0]
    assert len(view.pictures) == 1
    assert view.sop_instance_uid == finding.sop_instance_uid


@given(place=st.tuples(*(st.floats(-900, 900) for _ in range(3))), diameter=st.one_of(st.none(), st.floats(0.1, 300)))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_positions_outside_of_the_volume_are_drawn(place: tuple[float, float, float], diameter: float | None) -> None:
    analysis = analyses_with_images.chest()
    finding = replace(analysis.prediction.findings[0], position_mm=place, image_point=None, diameter_mm=diameter)
    (view,) = finding_views(replace(analysis, prediction=replace(analysis.prediction, findings=(finding,))))
    assert [picture.image.width for picture in view.pictures] == [SLICE_PX, SMALL_PX, SMALL_PX]


def test_a_finding_on_no_slice_has_no_picture() -> None:
    analysis = analyses_with_images.chest()
    finding = replace(analysis.prediction.findings[0], position_mm=None, image_point=None, sop_instance_uid="", mask=None)
    assert heatmap.encode(replace(analysis, prediction=replace(analysis.prediction, findings=(finding,)))) == ()


def test_photograph_with_outline_and_evidence() -> None:
    analysis = analyses_with_images.lesion()
    (view,) = finding_views(analysis)
    image, evidence = (np.asarray(picture.image).astype(int) for picture in view.pictures)
    assert has(OUTLINE, image.astype(np.uint8)) > 500
    warm = np.abs(evidence - image).sum(axis=2)
    hot = np.unravel_index(np.frombuffer(analysis.heat.values, np.uint8).argmax(), analysis.heat.shape[1:])  # type: ignore[union-attr]
    scale = image.shape[0] / 450
    y, x = int(hot[0] * scale), int(hot[1] * scale)
    assert warm[y, x] > 60
    assert warm[-30:, -30:].max() == 0
    (document,) = documents(analysis)
    assert document.SourceImageSequence[0].ReferencedSOPInstanceUID == "2.25.2000"


@pytest.mark.parametrize("outcome", [Outcome.NO_FINDING, Outcome.ABSTAINED, Outcome.NOT_ANALYSED])
def test_nothing_found_has_no_picture(outcome: Outcome) -> None:
    for analysis in (analyses_with_images.chest(), analyses_with_images.lesion()):
        assert heatmap.encode(replace(analysis, prediction=Prediction(outcome, reason="r"))) == ()


def test_a_photograph_with_nothing_to_show_has_no_picture() -> None:
    analysis = analyses_with_images.lesion()
    finding = replace(analysis.prediction.findings[0], mask=None)
    assert heatmap.encode(replace(analysis, heat=None, prediction=replace(analysis.prediction, findings=(finding,)))) == ()
    assert heatmap.encode(replace(analysis, item=None)) == ()


@pytest.mark.parametrize("name", ["chest", "lesion"])
def test_same_analysis_gives_the_same_bytes(name: str) -> None:
    made = [hashlib.sha256(each.content).hexdigest() for each in heatmap.encode(getattr(analyses_with_images, name)())]
    assert made == hashes_in_new_process("heatmap", name)


def test_long_words_are_split_and_rows_fit() -> None:
    face = font(18)
    rows = wrap_text(f"a {'w' * 300} b " + "word " * 60, face, 200)
    assert all(face.getlength(row) <= 200 for row in rows)
    assert "".join(rows).replace(" ", "") == ("a" + "w" * 300 + "b" + "word" * 60)
