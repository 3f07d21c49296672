"""Results of a slide name its specimen: reports as their subject, pictures in the Specimen module."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.records import Prediction
from core.states import Outcome
from deploy.demo.result_check import dciodvfy_errors
from tests.support import analyses, analyses_with_images
from workers.encode.analysis import Analysis
from workers.encode.objects import heatmap
from workers.encode.sr import document
from workers.encode.validate.validator import validate

FOUND = Prediction(Outcome.FINDINGS, (analyses.tile_of_slide(),))
NAMES = ("Subject Class", "Specimen UID", "Specimen Identifier", "Specimen Container Identifier")


def subject(analysis: Analysis) -> dict[str, str]:
    content = document.encode(analysis).content
    assert validate(content) == ()
    found = {}
    for item in dcmread(io.BytesIO(content)).ContentSequence:
        name = item.ConceptNameCodeSequence[0].CodeMeaning
        if name in NAMES:
            assert item.RelationshipType == "HAS OBS CONTEXT"
            coded = item.get("ConceptCodeSequence")
            found[name] = coded[0].CodeMeaning if coded else str(item.get("UID") or item.TextValue)
    return found


def test_the_subject_of_a_report_on_a_slide_is_the_specimen() -> None:
    expected = dict(zip(NAMES, ("Specimen", "2.25.4711", "S26-1-A-1", "SLIDE-9"), strict=True))
    assert subject(analyses.slide(FOUND)) == expected


@pytest.mark.parametrize(
    "elements",
    [
        {"SpecimenDescriptionSequence": []},
        {"ContainerIdentifier": ""},
        {"SpecimenDescriptionSequence": [analyses.specimen(uid="")]},
        {"SpecimenDescriptionSequence": [analyses.specimen(), analyses.specimen("S26-1-B-1", "2.25.4712")]},  # which of them is not known
    ],
)
def test_without_one_identified_specimen_the_subject_is_the_patient(elements: dict[str, object]) -> None:
    assert subject(analyses.slide(FOUND, **elements)) == {}
    assert subject(analyses.skin(Prediction(Outcome.FINDINGS, (analyses.melanoma(),)))) == {}


def test_pictures_of_a_slide_have_the_specimen_module(tmp_path: Path) -> None:
    several = [analyses.specimen(), analyses.specimen("S26-1-B-1", "2.25.4712")]
    for item in several:
        del item.IssuerOfTheSpecimenIdentifierSequence, item.SpecimenPreparationSequence
    specimen = analyses.slide(FOUND, SpecimenDescriptionSequence=several).source.specimen
    lesion = analyses_with_images.lesion()
    (made, *_) = heatmap.encode(replace(lesion, source=replace(lesion.source, specimen=specimen)))
    assert validate(made.content) == ()
    path = tmp_path / "picture.dcm"
    path.write_bytes(made.content)
    assert dciodvfy_errors(path) == []
    picture = dcmread(path)
    assert picture.ContainerIdentifier == "SLIDE-9"
    assert [item.SpecimenUID for item in picture.SpecimenDescriptionSequence] == ["2.25.4711", "2.25.4712"]
    assert all(isinstance(item, Dataset) and "SpecimenPreparationSequence" in item for item in picture.SpecimenDescriptionSequence)
    assert "Laterality" not in picture
