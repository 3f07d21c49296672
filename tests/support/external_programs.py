"""Finds programs of other projects that tests use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def tool(name: str, package: str) -> str:
    """Return the path of a program. If it is not installed, the test fails in CI and is skipped elsewhere."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found)


def dciodvfy(path: Path) -> list[str]:
    """Return what David Clunie's dciodvfy says of a DICOM file: the name of its IOD, and lines that begin with Error or Warning."""
    done = subprocess.run([tool("dciodvfy", "dicom3tools"), "-new", str(path)], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()


def venv_tool(name: str) -> str:
    """Return the path of a program that requirements/dev.txt installs beside this Python."""
    path = Path(sys.executable).parent / name
    assert path.is_file(), f"{name} is missing: pip install -r requirements/dev.txt"
    return str(path)
