"""Sentences about an answer that every object words alike."""

from dataclasses import replace

from core.records import Prediction
from core.states import Outcome
from tests.support import analyses
from workers.encode.finding_text import location


def test_a_finding_without_a_place_is_of_the_whole_series_or_of_the_whole_image() -> None:
    """A class of a series is no statement about one of its images."""
    nowhere = replace(analyses.nodule(), site=None, zone=None, side=None, position_mm=None, image_point=None)
    series, image = analyses.ct(Prediction(Outcome.FINDINGS, (nowhere,))), analyses.skin(Prediction(Outcome.FINDINGS, (nowhere,)))
    assert (len(series.source.images) > 1, len(image.source.images)) == (True, 1)
    assert (location(series, nowhere), location(image, nowhere)) == ("the whole series", "the whole image")
