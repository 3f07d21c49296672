"""The processes of ``pytest -n`` are forks of one process, which imports the test modules once."""

import re
import subprocess
import sys
from pathlib import Path

MODULE = """
import os, pathlib, signal
import pytest

RECORD = pathlib.Path(__file__).with_name("record")
with RECORD.open("a") as record:
    record.write(f"imported by {os.getpid()}\\n")

@pytest.mark.parametrize("number", range(3))
def test_it(number):
    with RECORD.open("a") as record:
        record.write(f"fork {os.getpid()} of {os.getppid()}\\n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_modules_are_imported_once_and_a_killed_process_is_replaced_by_another_fork(tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.forked_workers", "-n", "2", "-p", "no:cacheprovider", "test_module.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    assert re.search(r"worker 'gw\d' crashed while running 'test_module.py::test_it\[\d\]'", run.stdout), run.stdout + run.stderr
    assert "3 failed" in run.stdout
    lines = (tmp_path / "record").read_text().splitlines()
    (importer,) = [line.removeprefix("imported by ") for line in lines if line.startswith("imported")]
    forks = {found[1] for line in lines if (found := re.fullmatch(rf"fork (\d+) of {importer}", line))}
    assert len(forks) == 3, lines
