"""The side of images and findings: Laterality is for paired body parts, and an image of the trunk shows both sides."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.concepts import codes
from core.records import Finding, Prediction
from core.states import Outcome, ResultKind
from deploy.demo.result_check import dciodvfy_errors
from tests.support import analyses
from workers.encode.analysis import Analysis
from workers.encode.anatomy import read_anatomy
from workers.encode.objects import by_kind
from workers.encode.sr import concept_names, document
from workers.encode.validate.validator import validate

AT_MIDLINE = replace(analyses.nodule(), side=None)
IN_BONE = replace(AT_MIDLINE, site=codes.SKIN, zone=None)


def on_ct(finding: Finding, **elements: object) -> Analysis:
    return analyses.ct(Prediction(Outcome.FINDINGS, (finding,)), dataset=analyses.header("CT", **elements))


def report_on(analysis: Analysis) -> Dataset:
    content = document.encode(analysis).content
    assert validate(content) == ()
    return dcmread(io.BytesIO(content))


def sides(parent: Dataset) -> Iterator[str]:
    """The laterality of finding sites."""
    for item in parent.get("ContentSequence", ()):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == concept_names.LATERALITY.value:
            yield item.ConceptCodeSequence[0].CodeMeaning
        yield from sides(item)


@pytest.mark.parametrize("body_part", ["CHEST", "THORAX", "CHESTABDOMEN", "LUNG", ""])
def test_the_side_in_the_header_of_a_chest_ct_is_not_that_of_a_finding(body_part: str) -> None:
    report = report_on(on_ct(AT_MIDLINE, Laterality="R", BodyPartExamined=body_part))
    assert list(sides(report)) == []
    assert "AnatomicRegionModifierSequence" not in report.AnatomicRegionSequence[0]
    assert list(sides(report_on(on_ct(analyses.nodule(), Laterality="L", BodyPartExamined=body_part)))) == ["Right"]


def test_the_side_in_the_header_of_a_limb_or_a_photograph_is_that_of_a_finding() -> None:
    assert list(sides(report_on(on_ct(IN_BONE, Laterality="L", BodyPartExamined="KNEE")))) == ["Left"]
    for elements in ({"Laterality": "L"}, {"ImageLaterality": "L", "BodyPartExamined": "CHEST"}):
        photograph = analyses.skin(Prediction(Outcome.FINDINGS, (analyses.melanoma(),)), dataset=analyses.header("DMS", **elements))
        assert list(sides(report_on(photograph))) == ["Left"]


@pytest.mark.parametrize(("body_part", "written"), [("CHEST", None), ("ABDOMENPELVIS", None), ("LUNG", "R"), ("KNEE", "R")])
def test_laterality_is_written_for_paired_body_parts_only(body_part: str, written: str | None) -> None:
    assert report_on(on_ct(AT_MIDLINE, Laterality="R", BodyPartExamined=body_part)).get("Laterality") == written


def test_image_laterality_of_the_chest_is_no_laterality_of_its_series() -> None:
    anatomy = read_anatomy(analyses.header("DMS", ImageLaterality="L", BodyPartExamined="CHEST"))
    assert (anatomy.side, anatomy.series_side) == ("L", "")
    assert read_anatomy(analyses.header("DMS", Laterality="L", BodyPartExamined="CHEST")).side == ""


@pytest.mark.parametrize("body_part", ["CHEST", "LUNG", "KNEE"])
def test_objects_of_a_ct_with_laterality_are_valid(body_part: str, tmp_path: Path) -> None:
    masked = analyses.masked_ct()
    findings = tuple(replace(finding, side=None) for finding in masked.prediction.findings)
    source = on_ct(AT_MIDLINE, Laterality="R", BodyPartExamined=body_part).source
    analysis = replace(masked, source=source, prediction=replace(masked.prediction, findings=findings))
    made = [each for kind in (ResultKind.SEG, ResultKind.HEATMAP, ResultKind.PDF) for each in by_kind.encode_kind(kind, analysis)]
    assert len(made) >= 3
    for number, each in enumerate((*made, document.encode(analysis))):
        assert validate(each.content) == ()
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(each.content)
        assert dciodvfy_errors(path) == []
        if each.kind is ResultKind.SEG:
            regions = [segment.AnatomicRegionSequence[0] for segment in dcmread(path).SegmentSequence]
            assert [("AnatomicRegionModifierSequence" in region) for region in regions] == [body_part == "KNEE"] * 2


@pytest.mark.parametrize(("letter", "side"), [("L", "L"), ("U", ""), ("B", "")])
def test_region_and_side_that_the_frames_share_are_those_of_the_image(letter: str, side: str) -> None:
    frames, region, groups = Dataset(), Dataset(), Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = codes.LUNG.value, codes.LUNG.scheme, codes.LUNG.meaning
    frames.FrameLaterality, frames.AnatomicRegionSequence = letter, [region]
    groups.FrameAnatomySequence = [frames]
    anatomy = read_anatomy(analyses.header("CT", SharedFunctionalGroupsSequence=[groups]))
    assert (anatomy.region, anatomy.side) == (codes.LUNG, side)
    own = analyses.header("OPT", SharedFunctionalGroupsSequence=[groups], ImageLaterality="R")
    assert read_anatomy(own).side == "R"
