"""highdicom reads the findings back from the encoded report: code, location, confidence and size."""

import io
from typing import Any

import highdicom as hd
import pytest

from core.concepts.measured_values import round_measured
from core.records import Finding
from tests.support import analyses
from workers.encode.sr import document
from workers.encode.sr.tracking_identifiers import tracking_uid

SHAPES = analyses.shapes()
GROUPS = ("get_planar_roi_measurement_groups", "get_volumetric_roi_measurement_groups", "get_image_measurement_groups")


def read(name: str) -> list[Any]:
    """Every measurement group of the report."""
    content = hd.sr.srread(io.BytesIO(document.encode(SHAPES[name]).content)).content
    return [group for groups in GROUPS for group in getattr(content, groups)()]


def expected(finding: Finding) -> dict[str, float]:
    """Code value of each number of a finding, in the precision of a report."""
    sure = finding.probability if finding.probability is not None else finding.score
    assert sure is not None
    found = {value.name.value: round_measured(value.value, value.unit.value) for value in finding.measurements}
    return found | ({"81827009": round_measured(finding.diameter_mm, "mm")} if finding.diameter_mm is not None else {}) | {"sure": sure}


@pytest.mark.parametrize("name", [name for name, analysis in SHAPES.items() if analysis.prediction.findings])
def test_every_finding_is_read_back(name: str) -> None:
    analysis = SHAPES[name]
    groups = read(name)
    for number, finding in enumerate(analysis.prediction.findings, 1):
        mine = [group for group in groups if group.tracking_uid == tracking_uid(analysis, number)]
        assert mine
        assert {(group.finding_type.value, group.finding_type.scheme_designator) for group in mine} == {
            (finding.code.value, finding.code.scheme)
        }
        assert finding.site is None or all(group.finding_sites for group in mine)
        numbers = {one.name.value: one.value for group in mine for one in group.get_measurements()}
        asked = expected(finding)
        assert any(value == pytest.approx(asked["sure"], abs=1e-4) for value in numbers.values())
        for code, value in asked.items():
            assert code == "sure" or numbers[code] == pytest.approx(value, rel=1e-4)
    assert len({group.tracking_uid for group in groups}) == len(analysis.prediction.findings)


@pytest.mark.parametrize("name", [name for name, analysis in SHAPES.items() if not analysis.prediction.findings])
def test_without_finding_there_is_one_group_without_region(name: str) -> None:
    (group,) = read(name)
    assert group.finding_type is None
    assert list(group.get_measurements()) == []
