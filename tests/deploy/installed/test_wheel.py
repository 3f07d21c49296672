"""The wheel in an empty environment outside of the checkout: complete, and the demo runs with nothing but it."""

import importlib.metadata
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.wheels import ROOT, make_environment, outside_environment

DEMO = """
import sys
from pathlib import Path
from deploy.demo.run import DemoOptions, run_demo
sys.exit(run_demo(DemoOptions(synthetic=True, small=True, orthanc=False, json_file=Path("demo.json"))))
"""


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    return make_environment(folder / "venv", wheel, folder / "checkout.log")


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    packages = (
        "core/",
        "db/",
        "imaging/",
        "models/",
        "training/",
        "dicom_node/",
        "workers/",
        "console/",
        "deploy/conf/",
        "deploy/systemd/",
    )
    expected = {name for name in tracked if name.startswith(packages) and (ROOT / name).is_file()}
    contained = set(zipfile.ZipFile(wheel).namelist())
    assert expected - contained == set()
    assert not {name for name in contained if name.startswith(("tests/", "docs/"))}


def test_the_extras_are_the_pins(wheel: Path, programs: Path) -> None:
    (metadata,) = importlib.metadata.distributions(name="dicom-node", path=[str(next((programs.parent / "lib").glob("*/site-packages")))])
    requires = {line.replace('"', "'") for line in metadata.requires or []}
    assert "torch==2.13.0 ; extra == 'worker'" in {line.replace("; extra", " ; extra").replace("  ", " ") for line in requires}
    for extra, name in (("node", "node"), ("worker", "worker"), ("worker", "embedded"), ("training", "training")):
        pins = [line.split(" ;")[0] for line in (ROOT / f"requirements/{name}.txt").read_text().splitlines() if "==" in line]
        missing = [pin for pin in pins if not any(line.startswith(f"{pin};") and f"extra == '{extra}'" in line for line in requires)]
        assert missing == [], extra


@pytest.mark.timeout(3600)
def test_the_demo_runs_and_reads_nothing_of_the_checkout(programs: Path, tmp_path: Path) -> None:
    """Every process of the demo notes what it reads of the checkout; the first run here proves that the note is taken."""
    log = programs.parent.parent / "checkout.log"
    environment = outside_environment(HOME=str(tmp_path), TMPDIR=str(tmp_path.parent))
    reading = [str(programs / "python"), "-c", f"open({str(ROOT / 'pyproject.toml')!r})"]
    subprocess.run(reading, check=True, cwd=tmp_path, env=environment)
    assert log.read_text() == f"open {ROOT / 'pyproject.toml'}\n"
    log.unlink()
    version = subprocess.run(
        [programs / "dicom-node", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    assert version.stdout == f"dicom-node {importlib.metadata.version('dicom-node')}\n"
    done = subprocess.run([programs / "python", "-c", DEMO], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "demo.json").read_text())
    assert sorted(job["model"] for job in document["jobs"]) == ["dermoscopy_7class", "dermoscopy_7class", "lung_nodule_ct"]
    assert {job["job_state"] for job in document["jobs"]} == {"delivered"}
    assert [report["problems"] for report in document["reports"] if report["problems"]] == []
    (ct,) = [job for job in document["jobs"] if job["model"] == "lung_nodule_ct"]
    assert ct["completion_evidence"]["rule"] == "released"  # this PACS answers no queries
    assert document["viewer"]["missing"][0].startswith("Orthanc")
    assert not log.exists(), log.read_text()
