"""The demo from end to end: a PACS, the node, images over DICOM, reports fetched from the PACS and validated."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image

from core.errors import ConfigurationError, DeliveryError
from deploy.demo import inputs
from deploy.demo.modality import send_files
from deploy.demo.node import STOP_TIMEOUT_S
from deploy.demo.pacs.interface import AE_TITLE, Pacs
from deploy.demo.pacs.orthanc import Orthanc
from deploy.demo.pacs.selection import choose_pacs
from deploy.demo.pacs.storage_scp import StorageScp
from deploy.demo.result_check import fetch_results
from deploy.demo.synthetic.lesion import lesion_dataset, make_lesion
from deploy.demo.viewer.chromium import HEIGHT_PX, WIDTH_PX
from deploy.local.ports import free_port
from tests.support.console import Browser

PROGRAM = """
import signal, sys
from pathlib import Path
from deploy.demo.run import DemoOptions, run_demo
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
sys.exit(run_demo(DemoOptions(synthetic=True, small=True, orthanc=True, json_file=Path(sys.argv[1]), stay=True)))
"""


def _read_until(terminal: int, shown: str, wanted: str) -> str:
    """Read what a program writes to its terminal, up to ``wanted`` or its end."""
    while wanted not in shown:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: every process has closed the other side
            break
        if not part:
            break
        shown += part.decode(errors="replace").replace("\r\n", "\n")
    return shown


def _run_on_terminal(out: Path) -> tuple[int, str, str]:
    """Run the demo on a pseudo-terminal, open the console with the link that it prints, and press Ctrl-C.

    Returns the exit status, what was written to the terminal, and what was written to standard output.
    """
    terminal, side = pty.openpty()
    with out.with_suffix(".out").open("w+") as stdout:
        command = ["setsid", "--ctty", "--wait", sys.executable, "-c", PROGRAM, str(out)]
        demo = subprocess.Popen(command, stdin=side, stderr=side, stdout=stdout)
        os.close(side)
        shown = _read_until(terminal, "", "Ctrl-C ends the demo.")
        links = re.findall(r"http\S+/sign-in/link/\S+", shown)
        assert links, shown
        with Browser(timeout=600, follow_redirects=True) as browser:
            browser.base_url = links[0].partition("/sign-in")[0]
            worklist = browser.send_form(links[0])
        assert worklist.url.path == "/worklist"
        assert worklist.text.count("/studies/") >= 2
        os.write(terminal, b"\x03")  # the terminal sends SIGINT to the foreground process group
        shown = _read_until(terminal, shown, "never written")
        status = demo.wait(600)
        os.close(terminal)
        stdout.seek(0)
        return status, shown, stdout.read()


def _processes_with(word: str) -> list[str]:
    """Return the command lines that contain ``word``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [line] if word in line else []
    return found


@pytest.mark.timeout(3600)
def test_every_report_arrives_and_ctrl_c_ends_everything(tmp_path: Path) -> None:
    out = tmp_path / "demo.json"
    status, shown, printed = _run_on_terminal(out)
    assert status == 0, shown
    assert "\nstopping ..." in shown
    assert printed == ""
    assert "SYNTHETIC" in shown
    assert "Not for clinical use" in shown
    document: dict[str, Any] = json.loads(out.read_text())
    assert document["seconds"]["drain"] < STOP_TIMEOUT_S, "the node ended by itself"
    assert _processes_with(Path(document["folder"]).name) == []
    assert document["ok"]
    assert [item["real"] for item in document["input"]] == [False, False]
    assert {job["job_state"] for job in document["jobs"]} == {"delivered"}
    assert sorted(job["model"] for job in document["jobs"]) == ["dermoscopy_7class", "dermoscopy_7class", "lung_nodule_ct"]
    (ct,) = [job for job in document["jobs"] if job["model"] == "lung_nodule_ct"]
    assert ct["completion_evidence"]["rule"] == "expected_count"
    kinds = Counter(report["kind"] for report in document["reports"])
    assert kinds["sr"] == kinds["pdf"] == 3
    skin = [job for job in document["jobs"] if job["model"] == "dermoscopy_7class" and job["outcome"] == "findings"]
    assert kinds["seg"] >= len(skin)
    for report in document["reports"]:
        assert report["problems"] == []
        assert "dciodvfy" in report["validators"]
        assert Path(report["file"]).is_file()
    assert not (Path(document["folder"]) / "data").exists()
    for report in document["reports"]:
        Path(report["file"]).unlink()
    (Path(document["folder"]) / "reports").rmdir()
    viewer = document["viewer"]
    if os.environ.get("CI") or not viewer["missing"]:
        assert [Path(picture).name for picture in viewer["pictures"]] == ["ohif-ct.png", "ohif-dms.png"], viewer["missing"]
        for picture in viewer["pictures"]:
            with Image.open(picture) as image:
                assert image.size == (WIDTH_PX, HEIGHT_PX)
    shutil.rmtree(Path(document["folder"]))


def test_a_missing_and_an_invalid_report_are_problems(tmp_path: Path) -> None:
    """A missing object and an invalid object are problems of the demo."""
    pacs = StorageScp(tmp_path / "pacs")
    pacs.start()
    try:
        lesion_dataset(1, size=(64, 64)).save_as(tmp_path / "image.dcm", enforce_file_format=True)
        send_files([tmp_path / "image.dcm"], "127.0.0.1", pacs.port, AE_TITLE)
        image = str(pydicom.dcmread(tmp_path / "image.dcm").SOPInstanceUID)
        common = {"object": "sr", "state": "stored", "note": ""}
        rows = [{**common, "delivery_id": 1, "job_id": 1, "sop_instance_uid": "1.2.3"}]
        rows.append({**common, "delivery_id": 2, "job_id": 2, "sop_instance_uid": image})  # a photograph is not a report
        missing, invalid = fetch_results(pacs, rows, tmp_path / "reports")
    finally:
        pacs.stop()
    assert missing.path is None
    assert "does not have it" in missing.problems[0]
    assert any(problem.startswith("validator: ") for problem in invalid.problems)


def test_without_data_the_input_is_synthetic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_DATA", str(tmp_path / "nowhere"))
    assert inputs.data_folder() is None
    given = inputs.dermoscopy(None, tmp_path / "scratch", synthetic=False, small=True)
    assert (given.real, len(given.files)) == (False, 2)


def test_a_folder_of_images(tmp_path: Path) -> None:
    folder = tmp_path / "skin"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(make_lesion(1, size=(90, 120)).jpeg)
    Image.new("RGB", (64, 48), (200, 150, 130)).save(folder / "b.png")
    given = inputs.dermoscopy(folder, tmp_path / "scratch", synthetic=False)
    assert given.real
    assert len(given.files) == 2


@pytest.mark.parametrize("what", [inputs.chest_ct, inputs.dermoscopy])
def test_a_folder_without_input(what: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="contains no"):
        what(tmp_path, tmp_path / "scratch", synthetic=False)


@pytest.mark.parametrize("kind", [Orthanc, StorageScp])
def test_a_pacs_returns_what_it_received(kind: type, chest_folder: Path, tmp_path: Path) -> None:
    pacs: Pacs = choose_pacs(tmp_path / "pacs", orthanc=kind is Orthanc)
    assert isinstance(pacs, kind)
    pacs.start()
    try:
        files = sorted(chest_folder.iterdir())[:3]
        assert send_files(files, "127.0.0.1", pacs.port, AE_TITLE).instances == 3
        sent = pydicom.dcmread(files[1])
        content = pacs.fetch(str(sent.SOPInstanceUID))
        assert content is not None
        (tmp_path / "back.dcm").write_bytes(content)
        assert pydicom.dcmread(tmp_path / "back.dcm").PixelData == sent.PixelData
        assert pacs.fetch("1.2.3.4") is None
    finally:
        pacs.stop()


def test_no_pacs_at_the_port(chest_folder: Path) -> None:
    with pytest.raises(DeliveryError, match="refused the association"):
        send_files(sorted(chest_folder.iterdir())[:1], "127.0.0.1", free_port(), AE_TITLE)
