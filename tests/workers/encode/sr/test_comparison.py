"""The comparison with earlier results in the report: the earlier report and its date, values of each finding, and sentences."""

import io
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.concepts import codes, private_codes
from core.policy.priors.same_patient import IdentityDoubt
from core.policy.priors.sentences import TO_BE_CHECKED
from tests.support import analyses, comparisons
from tests.workers.encode.sr.test_document import named
from workers.encode.analysis import Analysis, EarlierResults
from workers.encode.finding_text import summary_text
from workers.encode.sr import document as sr_document
from workers.encode.validate import validator

IMAGES = tuple(f"2.25.{1000 + index}" for index in range(12))


def encoded(analysis: Analysis) -> Dataset:
    """Return the report, which passes the node's check with the references that it may have."""
    content = sr_document.encode(analysis).content
    assert analysis.earlier is not None
    allowed = (*IMAGES, *(report.sop_instance_uid for _, report in analysis.earlier.referenced))
    assert validator.validate(content, within=allowed) == ()
    return dcmread(io.BytesIO(content))


def texts(document: Dataset, code: str) -> list[str]:
    return [str(item.TextValue) for item in named(document, code)]


def numbers(document: Dataset, code: str) -> list[tuple[float, str]]:
    measured = [item.MeasuredValueSequence[0] for item in named(document, code)]
    return [(float(one.NumericValue), one.MeasurementUnitsCodeSequence[0].CodeValue) for one in measured]


def test_the_earlier_report_is_referenced_with_its_date_and_listed_as_other_evidence() -> None:
    document = encoded(comparisons.grown())
    (reference,) = named(document, codes.PRIOR_REPORT.value)
    assert (reference.ValueType, reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) == ("COMPOSITE", comparisons.STORED[1])
    (date,) = reference.ContentSequence
    assert (date.RelationshipType, date.ConceptNameCodeSequence[0].CodeValue, date.Date) == ("HAS ACQ CONTEXT", "111060", "20260105")
    (study,) = document.PertinentOtherEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (item,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("2.25.79", comparisons.STORED[2])
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == comparisons.STORED[:2]
    assert study.StudyInstanceUID != document.StudyInstanceUID


@pytest.mark.parametrize(("names", "referenced"), [(("pacs",), 1), (("pacs", "archive"), 1), (("pacs", "ris"), 0), ((), 0)])
def test_only_a_report_that_every_destination_has_stored_is_referenced(names: tuple[str, ...], referenced: int) -> None:
    analysis = comparisons.grown()
    assert analysis.earlier is not None
    earlier = analysis.earlier.for_destinations(names)
    assert len(earlier.referenced) == referenced
    document = encoded(replace(analysis, earlier=earlier))
    assert len(named(document, codes.PRIOR_REPORT.value)) == referenced
    assert ("PertinentOtherEvidenceSequence" in document) is bool(referenced)


def test_another_report_at_another_destination_is_not_referenced() -> None:
    prior = comparisons.earlier_result(comparisons.earlier_nodule(1, 200.0))
    other = replace(prior, reports=prior.reports | {"archive": (comparisons.SR, "2.25.82", "2.25.80")})  # type: ignore[operator]
    earlier = comparisons.EarlierResults(comparisons.RULE, (other,), True)
    assert earlier.for_destinations(("pacs", "archive")).referenced == ()
    assert len(earlier.for_destinations(("archive",)).referenced) == 1


def test_a_matched_finding_has_values_of_then_differences_and_a_sentence() -> None:
    document = encoded(comparisons.grown())
    assert numbers(document, "DAYS-BETWEEN") == [(318, "d")]
    assert numbers(document, "EARLIER-VOLUME") == [(200, "mm3")]
    assert numbers(document, "VOLUME-DIFF") == [(312, "mm3")]
    assert numbers(document, "VOLUME-PERCENT") == [(156, "%")]
    assert numbers(document, "EARLIER-DIAMETER") == [(7.0, "mm")]
    assert numbers(document, "DIAMETER-DIFF") == [(1.0, "mm")]
    assert numbers(document, "DOUBLING-TIME") == [(234, "d")]
    changes = [item.ConceptCodeSequence[0].CodeValue for item in named(document, private_codes.CHANGE.value)]
    assert changes == ["CHANGE-LARGER", "CHANGE-NO-MATCH"]
    matched, unmatched = texts(document, codes.DESCRIPTION_OF_CHANGE.value)
    assert "matched automatically and to be checked by the reader" in matched
    assert "This does not say that it is new." in unmatched


def test_the_statements_name_the_earlier_result_and_that_the_reader_has_to_check() -> None:
    listed, check, rest = texts(encoded(comparisons.grown()), private_codes.COMPARED_WITH.value)
    assert listed.startswith("Earlier result of 2026-01-05 (318 days before, version 1.0.0, job 17): 2 findings: 1 Nodule 7.0 mm")
    assert check == TO_BE_CHECKED
    assert rest.startswith("To finding 2 of the result of 2026-01-05 (job 17) none of this one was matched")
    assert "1 of 2 findings matched automatically to the result of 2026-01-05: the reader has to check this." in summary_text(
        comparisons.grown()
    )


def test_a_model_without_places_lists_the_earlier_result_and_matches_nothing() -> None:
    document = encoded(comparisons.listed())
    assert len(named(document, codes.PRIOR_REPORT.value)) == 1
    assert texts(document, private_codes.COMPARED_WITH.value)[1].startswith("Earlier findings are listed and not matched")
    assert not named(document, private_codes.CHANGE.value)


def test_that_there_is_no_earlier_result_is_said() -> None:
    document = encoded(comparisons.nothing_before())
    (said,) = texts(document, private_codes.COMPARED_WITH.value)
    assert said == "No earlier result of this model within 1825 days was found for the patient: nothing was compared."


def test_why_results_of_the_same_patient_id_were_left_out_is_said_with_and_without_a_comparison() -> None:
    left_out = ((IdentityDoubt.BIRTH_DATE, 1),)
    sentence = "1 earlier result with the same Patient ID was left out: the birth dates differ."
    for analysis in (comparisons.nothing_before(), comparisons.grown(), comparisons.listed()):
        assert analysis.earlier is not None
        document = encoded(replace(analysis, earlier=replace(analysis.earlier, left_out=left_out)))
        assert texts(document, private_codes.COMPARED_WITH.value)[-1].endswith(sentence)
    unknown = replace(comparisons.nothing_before(), earlier=EarlierResults(comparisons.RULE, left_out=((IdentityDoubt.NO_ID, 0),)))
    (said,) = texts(encoded(unknown), private_codes.COMPARED_WITH.value)
    assert said == "Nothing was compared. Earlier results were not looked for: the study has no Patient ID."
    assert said in summary_text(unknown)


def test_a_result_that_is_not_compared_says_nothing_of_it() -> None:
    content = sr_document.encode(analyses.shapes()["ct-findings"]).content
    document = dcmread(io.BytesIO(content))
    assert not named(document, private_codes.COMPARED_WITH.value)
    assert "PertinentOtherEvidenceSequence" not in document


def test_the_same_analysis_gives_the_same_bytes() -> None:
    assert sr_document.encode(comparisons.grown()).content == sr_document.encode(comparisons.grown()).content


def test_the_values_stand_in_the_group_of_the_segment_where_there_is_one() -> None:
    content = sr_document.encode(comparisons.grown_with_outlines()).content
    document = dcmread(io.BytesIO(content))
    groups = named(document, "125007")
    with_change = [group for group in groups if any(item in named(group, private_codes.CHANGE.value) for item in group.ContentSequence)]
    assert len(groups) == 4
    assert len(with_change) == 2
    assert all(named(group, "121191") for group in with_change)
