"""Reports of every shape: what they take over and state, and the same bytes for the same analysis."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.concepts import codes, private_codes
from core.records import Code, Prediction
from core.states import Outcome, ResultKind
from tests.support import analyses
from tests.support.analyses import walk
from workers.encode.analysis import Analysis, Predecessor
from workers.encode.finding_text import summary_text
from workers.encode.known_codes import is_known
from workers.encode.result_identity import series_description
from workers.encode.sr import document as sr_document
from workers.encode.validate import validator

SHAPES = list(analyses.shapes())
DATES = {"20261119", "20261120", "19500102"}


def document(analysis: Analysis) -> Dataset:
    return dcmread(io.BytesIO(sr_document.encode(analysis).content))


def named(dataset: Dataset, value: str) -> list[Dataset]:
    return [item for item in walk(dataset) if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == value]


@pytest.fixture(params=SHAPES)
def analysis(request: pytest.FixtureRequest) -> Analysis:
    return analyses.shapes()[request.param]


def test_every_shape_passes_our_validator(analysis: Analysis) -> None:
    assert validator.validate(sr_document.encode(analysis).content) == ()


def test_images_of_a_private_sop_class_are_referenced() -> None:
    """highdicom's regions accept standard SOP classes only, so reports of such units failed permanently."""
    seen = analyses.shapes()["ct-findings"]
    images = tuple(replace(image, sop_class_uid="1.3.46.670589.2.5.1.1") for image in seen.source.images)
    private = replace(seen, source=replace(seen.source, images=images))
    assert validator.validate(sr_document.encode(private).content) == ()
    point = next(item for item in walk(document(private)) if item.get("ValueType") == "SCOORD")
    assert point.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID == "1.3.46.670589.2.5.1.1"


def test_same_analysis_gives_the_same_bytes(analysis: Analysis) -> None:
    assert sr_document.encode(analysis).content == sr_document.encode(analysis).content


def test_no_date_is_invented(analysis: Analysis) -> None:
    found = {str(element.value) for element in document(analysis).iterall() if element.VR == "DA" and element.value}
    assert found <= DATES


def test_uids_differ_between_installations_revisions_profiles_and_runs() -> None:
    one = analyses.shapes()["ct-findings"]
    others = [replace(one, installation=UUID(int=7)), replace(one, revision=2), replace(one, run=2), replace(one, key="d4" * 32)]
    encoded = [sr_document.encode(each) for each in (one, *others)] + [sr_document.encode(one, profile="sr@pacs")]
    assert len({each.sop_instance_uid for each in encoded}) == 6
    assert len({each.series_instance_uid for each in encoded}) == 6
    tracked = {named(dcmread(io.BytesIO(each.content)), "112040")[0].UID for each in encoded[:5]}
    assert len(tracked) == 5


def test_patient_study_and_request_keep_their_meaning() -> None:
    report = document(analyses.shapes()["ct-findings"])
    assert report.SpecificCharacterSet == "ISO_IR 100"
    assert str(report.PatientName) == "Müller^Änne"
    assert (report.PatientID, report.IssuerOfPatientID, report.PatientBirthDate, report.PatientSex) == ("P-77", "HOSPITAL", "19500102", "F")
    assert (report.StudyInstanceUID, report.AccessionNumber, report.StudyID) == ("2.25.100", "ACC-1", "S1")
    assert report.StudyDescription == "Untersuchung für Ärzte"
    assert str(report.ReferringPhysicianName) == "Größe^Jörg"
    (request,) = report.ReferencedRequestSequence
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP-5", "ACC-1")
    assert request.RequestedProcedureDescription == "CT Thorax"
    assert request.StudyInstanceUID == "2.25.100"


def test_series_is_new_and_marked_as_research() -> None:
    report = document(analyses.shapes()["ct-findings"])
    assert report.SeriesInstanceUID != "2.25.200"
    assert report.SeriesDescription == "AI lung nodules: report (research)"
    clinical = replace(analyses.CT_MODEL, status="clinical", name="n" * 80, title="t" * 80)
    long = document(replace(analyses.shapes()["ct-findings"], identity=clinical))
    assert len(long.SeriesDescription) == 64
    assert long.SeriesDescription.endswith(": report")
    assert "research" not in long.SeriesDescription


def test_a_report_begins_with_a_summary_in_words(analysis: Analysis) -> None:
    report = document(analysis)
    first = next(item for item in report.ContentSequence if item.RelationshipType == "CONTAINS").ContentSequence[0]
    assert (first.ValueType, first.ConceptNameCodeSequence[0].CodeValue) == ("TEXT", codes.SUMMARY_IN_WORDS.value)
    assert first.TextValue.endswith("RESEARCH - not for clinical use.")
    for finding in analysis.prediction.findings[:5]:
        assert finding.code.meaning in first.TextValue
    if analysis.prediction.reason:
        assert analysis.prediction.reason.rstrip(".") in first.TextValue


def test_the_summary_of_findings() -> None:
    analysis = analyses.shapes()["ct-findings"]
    assert summary_text(analysis).startswith(
        f"{len(analysis.prediction.findings)} findings by lung_nodule_ct 1.0.0 ({analysis.identity.title}). "
        "1 · Nodule: score 0.91, not calibrated, to be reviewed; diameter 7.3 mm; "
    )
    many = replace(analysis.prediction, findings=tuple(analyses.nodule(number % 9) for number in range(7)))
    assert "2 more below." in summary_text(replace(analysis, prediction=many))


def test_at_most_five_limits_and_a_reference_to_the_card() -> None:
    analysis = replace(analyses.shapes()["ct-findings"], limits=tuple(f"Limit {number}." for number in range(8)), remarks=("A remark.",))
    report = document(analysis)
    assert [item.TextValue for item in named(report, "LIMITS")] == [f"Limit {number}." for number in range(5)]
    comments = [item.TextValue for item in named(report, codes.COMMENT.value)]
    assert "3 further limits are in the model card of lung_nodule_ct 1.0.0." in comments
    assert "A remark." in comments


@pytest.mark.parametrize("note", ["", " "])
def test_an_empty_note_does_not_reach_the_report(note: str) -> None:
    prediction = Prediction(Outcome.NO_FINDING, looked_for="nodules", notes=("First.", note))
    content = sr_document.encode(replace(analyses.ct(prediction), remarks=(note, "Last."))).content
    assert validator.validate(content) == ()
    comments = [item.TextValue for item in named(dcmread(io.BytesIO(content)), codes.COMMENT.value)]
    assert comments[:2] == ["First.", "Last."]


def test_series_descriptions_tell_models_and_objects_apart() -> None:
    analysis = analyses.shapes()["ct-findings"]
    titles = {
        ("lung_nodule_ct", "Lung nodules on chest CT"): "lung nodules",
        ("dermoscopy_7class", "Dermoscopy, seven classes of skin lesions"): "dermoscopy",
        ("lung_histology_ct", "Chest CT, a guess at the histology of lung carcinoma"): "lung histology",
        ("spleen_ct_segmentation", "Spleen CT segmentation"): "spleen CT segmentation",
        ("zoo", ""): "zoo",
    }
    for (name, title), subject in titles.items():
        identity = replace(analyses.CT_MODEL, name=name, title=title)
        found = [series_description(replace(analysis, identity=identity), kind) for kind in ResultKind]
        assert found[0] == f"AI {subject}: report (research)"
        assert len(set(found)) == len(ResultKind)
        assert max(map(len, found)) <= 64


def test_observer_and_algorithm_are_those_of_the_model() -> None:
    report = document(analyses.shapes()["ct-findings"])
    assert named(report, "121012")[0].UID.startswith("2.25.")
    assert named(report, "121014")[0].TextValue == "dicom-node"
    assert named(report, "121015")[0].TextValue == "lung_nodule_ct"
    assert named(report, "111003")[0].TextValue == "1.0.0"
    assert named(report, "111002")[0].TextValue.endswith("a1" * 32)
    assert named(report, "121058")[0].ConceptCodeSequence[0].CodeValue == codes.PROCEDURE_CT.value


def test_evidence_lists_all_and_the_library_only_what_findings_refer_to() -> None:
    report = document(analyses.shapes()["ct-findings"])
    assert len(validator.listed_evidence(report)) == 12
    library = named(report, codes.IMAGE_LIBRARY.value)[0]
    listed = [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in walk(library) if item.get("ValueType") == "IMAGE"]
    assert listed == ["2.25.1003", "2.25.1004"]


def test_findings_have_place_measures_with_units_and_tier() -> None:
    report = document(analyses.shapes()["ct-findings"])
    groups = named(report, "125007")
    assert len(groups) == 2
    region, centre = named(groups[0], "111030")[0], next(item for item in walk(groups[0]) if item.get("ValueType") == "SCOORD3D")
    assert (region.ValueType, list(region.GraphicData)) == ("SCOORD", [210.0, 300.5])
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.1003"
    assert centre.ReferencedFrameOfReferenceUID == analyses.FRAME_OF_REFERENCE
    assert list(centre.GraphicData) == [-61.25, 12.5, -140.0]
    score = named(groups[0], "SCORE")[0].ContentSequence
    assert [(item.ValueType, list(item.GraphicData)) for item in score] == [("SCOORD", [210.0, 300.5])]
    measured = {}
    for item in walk(groups[0]):
        if item.get("ValueType") == "NUM":
            value = item.MeasuredValueSequence[0]
            measured[item.ConceptNameCodeSequence[0].CodeValue] = (
                float(value.NumericValue),
                value.MeasurementUnitsCodeSequence[0].CodeValue,
            )
    assert measured == {
        "SCORE": (0.91, "1"),
        codes.DIAMETER.value: (7.3, "mm"),
        codes.VOLUME.value: (200.0, "mm3"),
    }
    assert named(groups[0], "TIER")[0].ConceptCodeSequence[0].CodeValue == "TIER-REVIEW"
    sources = [item for item in walk(groups[0]) if item.get("ValueType") == "IMAGE"]
    assert {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in sources} == {"2.25.1003"}


def test_the_point_and_the_segment_of_a_finding_are_two_groups_with_one_tracking_uid() -> None:
    report = document(analyses.shapes()["ct-segmented"])
    groups = named(report, "125007")
    tracked = [named(group, "112040")[0].UID for group in groups]
    regions = [[code for code in ("111030", "121191") if named(group, code)] for group in groups]
    assert regions == [["111030"], ["121191"]] * (len(groups) // 2)
    assert tracked[::2] == tracked[1::2]
    assert len(set(tracked)) == len(groups) // 2
    numbers = [{item.ConceptNameCodeSequence[0].CodeValue for item in walk(group) if item.get("ValueType") == "NUM"} for group in groups]
    assert numbers[0] == {"SCORE"}
    assert codes.VOLUME.value in numbers[1]


def test_without_frame_of_reference_the_place_is_on_the_image() -> None:
    report = document(analyses.shapes()["ct-findings-2d"])
    region = named(report, "111030")[0]
    assert (region.ValueType, list(region.GraphicData)) == ("SCOORD", [210.0, 300.5])
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.1003"


def test_photograph_has_calibrated_probability_and_its_image() -> None:
    report = document(analyses.shapes()["skin-findings"])
    probability = named(report, codes.PROBABILITY.value)[0].MeasuredValueSequence[0]
    assert float(probability.NumericValue) == 0.8123
    assert probability.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator == "UCUM"
    assert named(report, "121071")[0].ConceptCodeSequence[0].CodeValue == codes.MELANOMA.value
    assert named(report, "CLASSES")[0].TextValue.startswith("akiec 0.0500, bcc 0.0500")


def test_no_finding_states_what_was_looked_for() -> None:
    report = document(analyses.shapes()["ct-no-finding"])
    assert named(report, "LOOKED-FOR")[0].TextValue == analyses.LOOKED_FOR
    assert any("excludes nothing" in item.TextValue for item in named(report, "121106"))
    assert not named(report, "111030")
    assert named(report, codes.SUMMARY.value)[0].ConceptCodeSequence[0].CodeValue == codes.WITHOUT_FINDINGS.value


def test_a_finding_has_its_place_in_the_organ_and_its_category() -> None:
    report = document(analyses.ct(Prediction(Outcome.FINDINGS, (analyses.nodule(),))))
    (site, *_) = named(report, "363698007")
    modifiers = {item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0].CodeValue for item in site.ContentSequence}
    assert modifiers == {"272741003": codes.RIGHT.value, "106233006": codes.UPPER_ZONE.value}
    (category, *_) = named(report, private_codes.LUNG_RADS.value)
    assert category.ConceptCodeSequence[0].CodeMeaning == "2 or 3"


def test_a_part_of_the_organ_is_coded_and_said() -> None:
    sentence = "The upper end of the lungs was not covered by the series: what lies there was not examined."
    whole = analyses.shapes()["ct-no-finding"]
    part = replace(whole, prediction=replace(whole.prediction, notes=(sentence,), not_covered=(sentence,)))
    (quality,) = named(document(part), codes.SERIES_QUALITY.value)
    assert quality.ConceptCodeSequence[0].CodeValue == codes.COVERAGE_INCOMPLETE.value
    assert sentence in document(part).to_json()
    assert not named(document(whole), codes.SERIES_QUALITY.value)


@pytest.mark.parametrize("shape", ["ct-not-analysed", "skin-abstained"])
def test_no_result_gives_its_reason(shape: str) -> None:
    analysis = analyses.shapes()[shape]
    assert named(document(analysis), "REASON")[0].TextValue == analysis.prediction.reason


def test_every_report_states_limits_and_what_it_is_not_for(analysis: Analysis) -> None:
    report = document(analysis)
    assert named(report, "NOT-FOR")[0].TextValue == analysis.identity.not_for
    assert [item.TextValue for item in named(report, "LIMITS")] == [*analysis.limits]
    evaluations = named(report, codes.QUALITATIVE_EVALUATIONS.value)[0]
    comments = [item.TextValue for item in evaluations.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == codes.COMMENT.value]
    assert comments == [*analysis.prediction.notes]  # what concerns this result is no limit of the model
    assert named(report, "STATUS")[0].ConceptCodeSequence[0].CodeValue == codes.FOR_RESEARCH.value


@pytest.mark.parametrize(
    ("source", "setting", "expected"),
    [
        ("+0100", "-0500", ("20261120", "103015.250000", "+0100")),
        ("", "-0530", ("20261120", "040015.250000", "-0530")),
        ("", "Asia/Tokyo", ("20261120", "183015.250000", "+0900")),
        ("", "", ("20261120", "093015.250000", None)),
    ],
)
def test_time_zone_is_the_source_s_then_the_setting_s(source: str, setting: str, expected: tuple[str, str, str | None]) -> None:
    dataset = analyses.header("CT")
    dataset.TimezoneOffsetFromUTC = source
    analysis = replace(analyses.ct(Prediction(Outcome.NO_FINDING, looked_for="x"), dataset=dataset), time_zone=setting)
    report = document(analysis)
    assert (report.ContentDate, report.ContentTime, report.get("TimezoneOffsetFromUTC")) == expected


@pytest.mark.parametrize(
    ("study_date", "study_time", "at", "expected"),
    [
        ("20260115", "101500", datetime(2026, 7, 1, 22, 30, tzinfo=UTC), ("20260701", "233000.000000", "+0100")),  # winter, in summer
        ("20260701", "101500", datetime(2026, 1, 15, 22, 30, tzinfo=UTC), ("20260116", "003000.000000", "+0200")),
        ("20260115", "", datetime(2026, 7, 1, 8, 0, tzinfo=UTC), ("20260701", "090000.000000", "+0100")),
        ("", "", datetime(2026, 7, 1, 8, 0, tzinfo=UTC), ("20260701", "100000.000000", "+0200")),
    ],
)
def test_the_offset_of_a_named_zone_is_that_at_the_study(
    study_date: str, study_time: str, at: datetime, expected: tuple[str, str, str]
) -> None:
    dataset = analyses.header("CT", StudyDate=study_date, StudyTime=study_time, TimezoneOffsetFromUTC="")
    analysis = analyses.ct(Prediction(Outcome.NO_FINDING, looked_for="x"), dataset=dataset)
    report = document(replace(analysis, time_zone="Europe/Berlin", started_at=at))
    assert (report.ContentDate, report.ContentTime, report.TimezoneOffsetFromUTC) == expected


def test_predecessors_are_named() -> None:
    older = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "2.25.77", "2.25.78")
    report = document(replace(analyses.shapes()["ct-findings"], predecessors=(older,)))
    (study,) = report.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == "2.25.100"
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.78"
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.77"


def test_every_code_is_known(analysis: Analysis) -> None:
    for element in document(analysis).iterall():
        if element.VR == "SQ" and element.keyword in {"ConceptNameCodeSequence", "ConceptCodeSequence", "MeasurementUnitsCodeSequence"}:
            item = element.value[0]
            assert is_known(Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning))
