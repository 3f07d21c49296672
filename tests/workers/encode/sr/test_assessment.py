"""The assessment of a result: verdicts by the findings' tracking UIDs, the person as observer, the same bytes for the same verdicts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from core.concepts import codes, private_codes
from core.concepts.verdict_codes import REASONS, VERDICTS
from core.policy.verdicts import RejectionReason, VerdictKind
from core.records import Code, Finding, Prediction
from core.states import Outcome
from db.verdicts.assessment_records import JudgedFinding
from deploy.demo.result_check import dciodvfy_errors
from tests.support import analyses, assessments
from workers.encode.sr import concept_names
from workers.encode.sr.document import encode
from workers.encode.sr.stored_identifiers import read_tracking
from workers.encode.sr.tracking_identifiers import tracking_uid
from workers.encode.validate.validator import validate


def named(parent: Dataset, name: Code) -> Iterator[Dataset]:
    """Yield the children of a content item with this concept name."""
    for item in parent.get("ContentSequence", ()):
        concept = item.ConceptNameCodeSequence[0]
        if (concept.get("CodeValue"), concept.CodingSchemeDesignator) == (name.value, name.scheme):
            yield item


def groups(document: Dataset) -> list[Dataset]:
    """Return the measurement groups."""
    (measurements,) = named(document, concept_names.IMAGING_MEASUREMENTS)
    return list(named(measurements, concept_names.MEASUREMENT_GROUP))


def value(parent: Dataset, name: Code) -> str:
    """Return the code value of the only child with this concept name."""
    (item,) = named(parent, name)
    return str(item.ConceptCodeSequence[0].CodeValue)


def test_each_verdict_names_the_finding_as_the_report_does() -> None:
    findings = tuple(analyses.nodule(number) for number in range(3))
    analysis = analyses.ct(Prediction(Outcome.FINDINGS, findings))
    made, report = assessments.assess(analysis, assessments.judged())
    assert validate(made.content) == ()
    document = assessments.parse(made)
    tracked = [str(item.UID) for group in groups(document) for item in named(group, concept_names.TRACKING_UID)]
    assert tracked[:3] == [tracking_uid(analysis, number) for number in (1, 2, 3)]
    assert tracked[3] not in tracked[:3]
    verdicts = [value(group, private_codes.VERDICT) for group in groups(document)]
    assert verdicts == [
        VERDICTS[kind].value for kind in (VerdictKind.ACCEPTED, VerdictKind.REJECTED, VerdictKind.CORRECTED, VerdictKind.MISSED)
    ]
    assert value(groups(document)[1], private_codes.VERDICT_REASON) == REASONS[RejectionReason.ARTIFACT].value
    (statements,) = named(document, codes.QUALITATIVE_EVALUATIONS)
    (reference,) = named(statements, codes.MEASUREMENT_REPORT)
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == report.uids[1]
    (not_for,) = named(statements, private_codes.NOT_FOR)
    assert not_for.TextValue.startswith("Not for diagnosis without a clinician.")


def test_a_place_on_a_photograph_with_several_frames_is_on_its_first(tmp_path: Path) -> None:
    place = Finding("nv", codes.MELANOCYTIC_NEVUS, sop_instance_uid="2.25.2000", image_point=(300.5, 220.5), diameter_mm=4.0)
    analysis = analyses.skin(Prediction(Outcome.FINDINGS, (analyses.melanoma(),)))
    (image,) = analysis.source.images
    analysis = replace(
        analysis,
        source=replace(
            analysis.source,
            images=(replace(image, sop_class_uid=str(MultiFrameTrueColorSecondaryCaptureImageStorage), number_of_frames=3),),
        ),
    )
    made, _ = assessments.assess(analysis, (JudgedFinding(VerdictKind.CORRECTED, 7, "green", assessments.AT, 1, place),))
    assert validate(made.content) == ()
    (group,) = groups(assessments.parse(made))
    (region,) = named(group, concept_names.IMAGE_REGION)
    (diameter,) = named(group, codes.DIAMETER)
    for item in (region, diameter):
        assert item.ContentSequence[0].ReferencedSOPSequence[0].get("ReferencedFrameNumber") == 1
    path = tmp_path / "assessment.dcm"
    path.write_bytes(made.content)
    assert dciodvfy_errors(path) == []


def test_a_place_on_a_whole_slide_is_on_no_single_frame() -> None:
    tile = analyses.tile_of_slide()
    verdict = JudgedFinding(VerdictKind.CORRECTED, 7, "green", assessments.AT, 1, replace(tile, score=None))
    made, _ = assessments.assess(analyses.slide(Prediction(Outcome.FINDINGS, (tile,))), (verdict,))
    (region,) = named(groups(assessments.parse(made))[0], concept_names.IMAGE_REGION)
    assert "ReferencedFrameNumber" not in region.ContentSequence[0].ReferencedSOPSequence[0]


def test_the_observer_is_the_person_who_gave_the_last_verdict() -> None:
    document = assessments.parse(assessments.on_ct())
    assert value(document, concept_names.OBSERVER_TYPE) == concept_names.PERSON.value
    (person,) = named(document, concept_names.PERSON_NAME)
    assert str(person.PersonName) == "green^"
    assert (document.VerificationFlag, document.SeriesNumber) == ("UNVERIFIED", 9908)
    assert document.SeriesDescription == "AI lung nodules: assessment (research)"


def test_a_repetition_gives_the_same_bytes_and_another_assessment_other_uids() -> None:
    assert assessments.on_ct().content == assessments.on_ct().content
    analysis = analyses.ct(Prediction(Outcome.NO_FINDING, looked_for="nodules"))
    verdict = assessments.JudgedFinding(VerdictKind.ACCEPTED, 8, "green", assessments.AT, 0, None)
    first, second = (assessments.assess(analysis, (verdict,), profile=f"assessment.{number}")[0] for number in (1, 2))
    assert first.sop_instance_uid != second.sop_instance_uid


@pytest.mark.parametrize("shape", ["ct-findings", "skin-segmented", "ct-no-finding"])
def test_the_tracking_of_a_stored_report_is_read(shape: str) -> None:
    analysis = analyses.shapes()[shape]
    found = read_tracking(encode(analysis).content)
    numbers = range(1, len(analysis.prediction.findings) + 1) or [0]
    assert {number: uid for number, (_, uid) in found.items()} == {number: tracking_uid(analysis, number) for number in numbers}


def test_a_seeded_fault_is_found() -> None:
    document = assessments.parse(assessments.on_ct())
    groups(document)[0].ContentSequence = [item for item in groups(document)[0].ContentSequence if item.ValueType != "CODE"]
    made = assessments.encoded(document)
    assert "a measurement group has no verdict" in validate(made)
