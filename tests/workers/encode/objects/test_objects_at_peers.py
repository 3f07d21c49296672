"""Every result object in other programs: dciodvfy, DCMTK's tools and Orthanc."""

import io
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.support import analyses, analyses_with_images
from tests.support.dcmtk_storescp import storescp
from tests.support.external_programs import dciodvfy, tool
from tests.support.orthanc import Orthanc
from tests.support.storage_scu import dcmtk
from tests.workers.encode.validate.test_external_validators import EXPLAINED
from workers.encode.analysis import Analysis
from workers.encode.anatomy import Anatomy
from workers.encode.objects import by_kind
from workers.encode.sr import document as sr_document
from workers.encode.validate.validator import validate

# What dciodvfy does not know: our declared coding scheme, newer attributes and terms of the standard, an unknown side
KNOWN_WARNINGS = (
    *EXPLAINED,
    "Unrecognized defined term = <QUANTITY>",
    "Missing attribute or value that would be needed to build DICOMDIR",  # a patient without an ID stays without
    "Laterality(0020,0060)> - is only permitted to be empty when actually unknown",
)

IODS = {"SCImage", "ParametricMap", "KeyObjectSelectionDocument", "EncapsulatedPDF", "Segmentation", "Comprehensive3DSR"}


def all_of(analysis: Analysis) -> list[bytes]:
    made = [each for kind in by_kind.ENCODERS for each in by_kind.encode_kind(kind, analysis)]
    return [each.content for each in (*made, sr_document.encode(analysis))]


@cache
def analyses_of_all_kinds() -> Mapping[str, Analysis]:
    chest, lesion = analyses_with_images.chest(), analyses_with_images.lesion()
    side = replace(lesion, source=replace(lesion.source, anatomy=Anatomy(None, "L", "ARM")))
    body_part = replace(chest, source=replace(chest.source, anatomy=Anatomy(None, "", "CHEST")))
    anonymous = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(anonymous, keyword, "")
    anonymous.StudyID = anonymous.AccessionNumber = ""
    nobody = replace(chest, source=replace(chest.source, attributes=anonymous, requests=()))
    return {"chest": chest, "lesion": lesion, "side": side, "body part": body_part, "nobody": nobody, **analyses.shapes()}


NAMES = ("chest", "lesion", "side", "body part", "nobody", *analyses.shapes())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("objects")
    written: dict[str, list[Path]] = {}
    assert tuple(analyses_of_all_kinds()) == NAMES
    for name, analysis in analyses_of_all_kinds().items():
        for number, content in enumerate(all_of(analysis)):
            path = folder / f"{name.replace(' ', '-')}-{number}.dcm"
            path.write_bytes(content)
            written.setdefault(name, []).append(path)
    return written


def test_how_many_objects(files: dict[str, list[Path]]) -> None:
    kinds = {name: Counter(str(dcmread(path).Modality) for path in paths) for name, paths in files.items()}
    assert kinds["chest"] == {"SEG": 1, "OT": 1 + 3, "KO": 1, "DOC": 1, "SR": 1}
    assert kinds["lesion"] == {"SEG": 1, "OT": 1, "KO": 1, "DOC": 1, "SR": 1}
    assert kinds["ct-no-finding"] == {"DOC": 1, "SR": 1}


@pytest.mark.parametrize("name", NAMES)
def test_dciodvfy_finds_no_error(files: dict[str, list[Path]], name: str) -> None:
    for path in files[name]:
        lines = dciodvfy(path)
        assert IODS & set(lines)
        assert [line for line in lines if line.startswith("Error")] == [], path.name
        unknown = [line for line in lines if line.startswith("Warning") and not any(known in line for known in KNOWN_WARNINGS)]
        assert unknown == [], path.name


def send(port: int, paths: list[Path], title: str = "ANY") -> None:
    command = [dcmtk("storescu"), "--required", "-aec", title, "127.0.0.1", str(port), *map(str, paths)]
    subprocess.run(command, check=True, timeout=600, env={"TCP_NODELAY": "1"})


def same(ours: bytes, theirs: bytes) -> bool:
    return bool(dcmread(io.BytesIO(ours)) == dcmread(io.BytesIO(theirs)))


def test_dcmtk_stores_all_and_changes_nothing(files: dict[str, list[Path]], tmp_path: Path) -> None:
    sent = [*files["chest"], *files["lesion"]]
    with storescp(tmp_path / "in") as port:
        send(port, sent)
    stored = {str(dcmread(path).SOPInstanceUID): path for path in (tmp_path / "in").iterdir()}
    assert len(stored) == len(sent)
    for path in sent:
        assert same(path.read_bytes(), stored[str(dcmread(path).SOPInstanceUID)].read_bytes()), path.name


def test_dsrdump_reads_the_selection(files: dict[str, list[Path]]) -> None:
    (path,) = [path for path in files["lesion"] if dcmread(path).Modality == "KO"]
    run = subprocess.run([tool("dsrdump", "dcmtk"), str(path)], capture_output=True, check=True)
    said = run.stdout.decode("latin-1")
    assert "Key Object Selection Document" in said
    assert "Of Interest" in said
    assert "RESEARCH - not for clinical" in said
    assert not [line for line in run.stderr.decode("latin-1").splitlines() if line.startswith("E:")]


def test_orthanc_stores_renders_finds_and_returns_all_objects(files: dict[str, list[Path]], tmp_path: Path) -> None:
    sent = [*files["chest"], *files["side"]]
    orthanc = Orthanc(tmp_path / "orthanc", "ORTHANC").start()
    try:
        send(orthanc.port, sent, "ORTHANC")
        held = {orthanc.get(f"/instances/{each}/simplified-tags")["SOPInstanceUID"]: each for each in orthanc.get("/instances")}
        for path in sent:
            document = dcmread(path)
            identifier = held[str(document.SOPInstanceUID)]
            assert same(path.read_bytes(), orthanc.file(identifier)), path.name
            if document.Modality == "DOC":
                page = orthanc.raw(f"/instances/{identifier}/pdf")
                assert len(pypdfium2.PdfDocument(page)) == 1
            elif document.SOPClassUID.name.startswith("Secondary"):
                shown = np.asarray(Image.open(io.BytesIO(orthanc.raw(f"/instances/{identifier}/preview"))).convert("RGB"))
                assert (shown == document.pixel_array).all()
        for query in ({"BodyPartExamined": "ARM", "Laterality": "L"}, {"SeriesDescription": "AI dermoscopy*"}):
            found = orthanc.post("/tools/find", {"Level": "Instance", "Query": query, "Expand": True})
            kinds = {dcmread(io.BytesIO(orthanc.file(one["ID"]))).Modality for one in found}
            assert {"SR", "KO", "DOC", "OT"} <= kinds
    finally:
        orthanc.stop()


@pytest.mark.parametrize("name", NAMES)
def test_own_validator_finds_no_problem(files: dict[str, list[Path]], name: str) -> None:
    analysis = analyses_of_all_kinds()[name]
    unit = [one.sop_instance_uid for one in (*analysis.source.images, *analysis.related_objects)]
    for path in files[name]:
        assert validate(path.read_bytes(), within=unit) == (), path.name
