"""Coded evaluations of a model in the report, beside the tier."""

import io
from dataclasses import replace

from pydicom import dcmread

from core.concepts import codes, private_codes
from core.records import Evaluation
from tests.support import analyses
from tests.workers.encode.sr.test_document import named
from workers.encode.sr import document as sr_document
from workers.encode.validate import validator


def test_density_size_band_margin_and_suspicion_of_a_nodule_are_qualitative_evaluations_of_its_group() -> None:
    analysis = analyses.shapes()["ct-findings"]
    judged = (
        Evaluation(private_codes.DENSITY, private_codes.PART_SOLID),
        Evaluation(private_codes.SIZE_BAND, private_codes.SIZE_6_TO_8),
        Evaluation(codes.MARGINS, codes.INDISTINCT_MARGIN),
        Evaluation(private_codes.SUSPICION, private_codes.SUSPICION_HIGH),
    )
    findings = (replace(analysis.prediction.findings[0], evaluations=judged), *analysis.prediction.findings[1:])
    report = sr_document.encode(replace(analysis, prediction=replace(analysis.prediction, findings=findings)))
    assert validator.validate(report.content) == ()
    document = dcmread(io.BytesIO(report.content))
    for evaluation in judged:
        said = named(document, evaluation.name.value)
        assert said
        assert {item.ConceptCodeSequence[0].CodeValue for item in said} == {evaluation.value.value}
        assert {item.ConceptCodeSequence[0].CodingSchemeDesignator for item in said} == {evaluation.value.scheme}
    assert not named(dcmread(io.BytesIO(sr_document.encode(analysis).content)), private_codes.DENSITY.value)
