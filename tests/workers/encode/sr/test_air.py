"""IHE AIR, Rev. 1.3, 6.5.3.1: report, segmentation and equipment name the algorithm with the same values (docs/air.md)."""

import io
from collections.abc import Iterator, Mapping

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.states import ResultKind
from tests.support import analyses, analyses_with_images
from workers.encode.objects import by_kind
from workers.encode.sr import document

ANALYSES = {**analyses.shapes(), "chest": analyses_with_images.chest(), "lesion": analyses_with_images.lesion()}
# Table 6.5.3.1-1: attribute of the equipment -> content items of TID 1004 and TID 4019, attribute of Algorithm Identification
TABLE: Mapping[str, tuple[tuple[str, ...], str]] = {
    "Manufacturer": (("121014",), "AlgorithmSource"),
    "ManufacturerModelName": (("121015", "111001"), "AlgorithmName"),
    "SoftwareVersions": (("111003",), "AlgorithmVersion"),
    "DeviceUID": (("121012",), ""),
}


def values(content: Dataset, code: str) -> Iterator[str]:
    """The values of all content items with that concept name."""
    for item in content.get("ContentSequence", []):
        names = item.get("ConceptNameCodeSequence")
        if names and (names[0].CodeValue, names[0].CodingSchemeDesignator) == (code, "DCM"):
            yield str(item.get("TextValue") or item.get("UID"))
        yield from values(item, code)


@pytest.mark.parametrize("name", ANALYSES)
def test_equipment_observer_and_algorithm_have_the_same_values(name: str) -> None:
    report = dcmread(io.BytesIO(document.encode(ANALYSES[name]).content))
    (equipment,) = report.ContributingEquipmentSequence
    purpose = equipment.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
    for keyword, (codes, _) in TABLE.items():
        for code in codes:
            said = set(values(report, code))
            assert said <= {str(equipment[keyword].value)}, (keyword, code)
            assert said or code.startswith("111"), "the observer is always there, the algorithm where there is a group"


@pytest.mark.parametrize("name", ["chest", "lesion"])
def test_segments_name_the_algorithm_as_the_equipment_does(name: str) -> None:
    (made,) = by_kind.encode_kind(ResultKind.SEG, ANALYSES[name])
    outline = dcmread(io.BytesIO(made.content))
    (equipment,) = outline.ContributingEquipmentSequence
    for segment in outline.SegmentSequence:
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        for keyword, (_, attribute) in TABLE.items():
            if attribute:
                assert str(algorithm[attribute].value) == str(equipment[keyword].value), keyword
