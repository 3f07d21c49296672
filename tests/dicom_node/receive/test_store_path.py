"""The README's section "Where does a C-STORE go?" names the files from the socket to the answer in the order in which they are called."""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from core.settings.settings import Settings
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.records import rows
from tests.support.series import encoded, image
from tests.support.storage_scu import dcmtk

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[3]
SECTION = "## Where does a C-STORE go?"
PACKAGES = ("core", "db", "dicom_node", "imaging")
# Loops beside the path of an instance; the conductor and everything behind it are other processes.
BACKGROUND_THREADS = {"association-leases", "back-pressure", "receive-counts"}
HOUSEKEEPING = {"close_expired"}  # called by the accepting thread twice a second, also when nothing happens


def documented_files() -> list[str]:
    """The files that the first two items of the section name (connection to Success), each once, in order."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(SECTION)[2].partition("\n## ")[0]
    until_success = section.partition("\n1. ")[2].partition("\n3. ")[0]
    return list(dict.fromkeys(re.findall(r"\]\(([^)]+\.py)\)", until_success)))


class FirstCalls:
    """A profile function: notes each file of the node when one of its functions is called for the first time."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}  # path -> name of the function
        self.recording = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """Called by the interpreter in every thread that was started within `profiled`."""
        if event != "call" or not self.recording or threading.current_thread().name in BACKGROUND_THREADS:
            return
        if frame.f_code.co_name in HOUSEKEEPING:
            return
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES and frame.f_code.co_name != "<module>":
            self.files.setdefault(str(path.relative_to(ROOT)), frame.f_code.co_name)


@contextmanager
def profiled(calls: FirstCalls) -> Iterator[None]:
    """Have threads that are started from here on profiled."""
    before = threading.getprofile()
    threading.setprofile(calls)
    try:
        yield
    finally:
        threading.setprofile(before)  # type: ignore[arg-type]


def test_the_readme_names_the_files_of_a_c_store_in_call_order(
    start: Callable[[Settings], Running], make_settings: MakeSettings, tmp_path: Path
) -> None:
    documented = documented_files()
    assert len(documented) > 10, f"README.md: {SECTION} names no files"
    file = tmp_path / "one.dcm"
    file.write_bytes(encoded(image()))
    calls = FirstCalls()
    with profiled(calls):
        node = start(make_settings())
        calls.recording = True
        # Another process sends, so that only the listener's calls are recorded.
        command = [dcmtk("storescu"), "-aet", "PACS", "-aec", "DICOMNODE", "127.0.0.1", str(node.port), str(file)]
        subprocess.run(command, check=True, timeout=600)
        calls.recording = False
    assert rows(node.database, "SELECT count(*) FROM instances") == [(1,)]
    observed = list(calls.files)
    assert [path for path in observed if path in documented] == documented, "\n".join(f"{path} {calls.files[path]}" for path in observed)
    undocumented = [path for path in observed if path.startswith("dicom_node/receive/") and path not in documented]
    assert undocumented == [], "files of the path of a C-STORE that README.md does not name"
