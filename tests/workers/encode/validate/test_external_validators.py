"""Public validators on our reports: dciodvfy and dsrdump on every shape of report, DicomSRValidator on documents of each kind."""

import subprocess
from pathlib import Path

import pytest

from core.states import ResultKind
from tests.support import analyses, assessments, comparisons
from tests.support.external_programs import dciodvfy, tool
from tests.support.sr_validator import validate_reports
from workers.encode.objects import by_kind, rejection
from workers.encode.sr import document

ASSESSMENTS = {
    "assessment-ct": assessments.on_ct,
    "assessment-photograph": assessments.on_a_photograph,
    "assessment-no-finding": assessments.without_findings,
}
COMPARISONS = {
    "ct-compared": comparisons.grown,
    "ct-compared-segmented": comparisons.grown_with_outlines,
    "ct-earlier-listed": comparisons.listed,
    "ct-nothing-before": comparisons.nothing_before,
}
SHAPES = (*analyses.shapes(), *ASSESSMENTS, *COMPARISONS)
KEY_IMAGES, REJECTION = "key-images", "rejection"
ONE_OF_EACH = (*(shape for shape in SHAPES if shape != "ct-findings-2d"), KEY_IMAGES, REJECTION)
ROOTS = dict.fromkeys((KEY_IMAGES, REJECTION), "Found Root Template TID_2010 (KeyObjectSelection)")
# Newer than Debian's dciodvfy; explained in the conformance statement.
EXPLAINED = (
    "Unrecognized defined term = <99DCMNODE>",
    "DeviceUID(0018,1002)> - Attribute is not present in standard DICOM IOD",
    "</AnatomicRegionSequence(0008,2218)",
    "</BodyPartExamined(0018,0015)> - Attribute is not present in standard DICOM IOD",
    "</Laterality(0020,0060)> - Attribute is not present in standard DICOM IOD",
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    paths = {}
    for name, analysis in analyses.shapes().items():
        paths[name] = folder / f"{name}.dcm"
        paths[name].write_bytes(document.encode(analysis).content)
    (selection,) = by_kind.encode_kind(ResultKind.KEY_IMAGES, analyses.shapes()["ct-findings"])
    rejected = rejection.encode(analyses.shapes()["skin-segmented"], analyses.OUTDATED, destination="pacs")
    assessed = {name: make() for name, make in ASSESSMENTS.items()}
    assessed |= {name: document.encode(make()) for name, make in COMPARISONS.items()}
    for name, made in ((KEY_IMAGES, selection), (REJECTION, rejected), *assessed.items()):
        paths[name] = folder / f"{name}.dcm"
        paths[name].write_bytes(made.content)
    return paths


@pytest.mark.parametrize("shape", SHAPES)
def test_dciodvfy_finds_no_error(reports: dict[str, Path], shape: str) -> None:
    lines = dciodvfy(reports[shape])
    assert "Comprehensive3DSR" in lines
    assert [line for line in lines if line.startswith("Error")] == []
    warnings = [line for line in lines if line.startswith("Warning") and not any(known in line for known in EXPLAINED)]
    assert warnings == []


@pytest.mark.parametrize("shape", SHAPES)
def test_dsrdump_reads_it(reports: dict[str, Path], shape: str) -> None:
    run = subprocess.run([tool("dsrdump", "dcmtk"), str(reports[shape])], capture_output=True, text=True, errors="replace", check=True)
    assert "Comprehensive 3D SR Document" in run.stdout
    assert "Imaging Measurement Report" in run.stdout
    assert [line for line in run.stderr.splitlines() if line.startswith(("E:", "W:"))] == []


@pytest.mark.timeout(3600)
def test_dicom_sr_validator_finds_no_error(reports: dict[str, Path]) -> None:
    found = validate_reports({name: reports[name] for name in ONE_OF_EACH})
    assert set(found) == set(ONE_OF_EACH)
    for name, lines in found.items():
        assert "IOD validation complete" in lines, (name, lines)
        assert ROOTS.get(name, "Found Root Template TID_1500 (MeasurementReport)") in lines, (name, lines)
        assert [line for line in lines if line.startswith("Error")] == [], name
