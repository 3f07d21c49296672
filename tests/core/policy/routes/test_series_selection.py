"""The order in which series of a study are preferred, and its explanation."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.routes.series_selection import SeriesCandidate, best_series, explain_choice, kernel_class, series_candidate
from core.records import InstanceHeader

GOOD = SeriesCandidate(1, True, False, 1.0, "medium", 3, 300, 4)


@pytest.mark.parametrize(
    ("worse", "explanation"),
    [
        ({"axial": False, "thickness_mm": 0.6}, "axial"),
        ({"axial": None}, "axial"),
        ({"projection": True, "thickness_mm": 0.6}, "projection"),
        ({"thickness_mm": 5.0}, "thinner slices (1 mm, 5 mm here)"),
        ({"thickness_mm": 0.4}, "thinner"),
        ({"thickness_mm": None}, "thinner"),
        ({"thickness_mm": 0.6, "step_mm": 10.0}, "less distance between slices (1 mm, 10 mm here)"),  # HRCT: models refuse its gaps
        ({"step_mm": 1.0000001, "slices": 200}, "more slices"),
        ({"thickness_mm": 0.6, "slices": 15}, "16 slices or more"),
        ({"kernel": "sharp", "slices": 900}, "kernel"),
        ({"original": 1}, "ORIGINAL"),
        ({"slices": 100}, "more slices"),
        ({"series_number": 5}, "series number"),
        ({}, "first"),
    ],
)
def test_each_property_decides_in_the_documented_order(worse: dict[str, object], explanation: str) -> None:
    other = replace(GOOD, unit_id=2, **worse)  # type: ignore[arg-type]
    assert best_series([other, GOOD]) is GOOD
    assert explanation in explain_choice(GOOD, other)
    assert explain_choice(GOOD, other).startswith("series 4 ")


@given(st.permutations([replace(GOOD, unit_id=i, thickness_mm=float(i % 4 + 1), slices=100 + i % 3) for i in range(8)]))
def test_the_choice_does_not_depend_on_the_order(candidates: list[SeriesCandidate]) -> None:
    assert best_series(candidates).unit_id == best_series(sorted(candidates, key=lambda candidate: candidate.unit_id)).unit_id


def test_a_candidate_is_made_from_a_header() -> None:
    header = InstanceHeader(
        "c", "i", "s", "e", "t",
        image_type=("original", "PRIMARY", "AXIAL", "CT_SOM5 SPI"), orientation=(1, 0, 0, 0, 1, 0), slice_thickness_mm=1.5,
        convolution_kernel="B70f", series_number=7,
    )  # fmt: skip
    assert series_candidate(3, [header] * 99) == SeriesCandidate(3, True, False, 1.5, "sharp", 3, 99, 7)
    coronal = replace(header, orientation=(1, 0, 0, 0, 0, -1), image_type=("DERIVED", "SECONDARY", "MIP"))
    assert series_candidate(3, [coronal]).axial is False
    assert series_candidate(3, [coronal]).projection
    assert series_candidate(3, [replace(header, number_of_frames=300)]).slices == 300
    phases = [replace(header, position=(0.0, 0.0, z)) for z in (0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 50.0)]
    assert series_candidate(3, phases).step_mm == 10.0


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        ("B30f", "medium"), ("Br40d", "medium"), ("B20s", "smooth"), ("B70f", "sharp"), ("I70f\\3", "sharp"), ("STANDARD", "medium"),
        ("SOFT", "smooth"), ("LUNG", "sharp"), ("BONEPLUS", "sharp"), ("B", "medium"), ("YC", "sharp"), ("FC08", "medium"),
        ("FC51", "sharp"), ("", "unknown"), ("something", "unknown"),
    ],
)  # fmt: skip
def test_vendors_kernel_names_are_classified(kernel: str, name: str) -> None:
    assert kernel_class(kernel) == name
