"""Finds programs of other projects that tests use."""

import os
import shutil
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


def venv_tool(name: str) -> str:
    """Return the path of a program that requirements/dev.txt installs beside this Python."""
    path = Path(sys.executable).parent / name
    assert path.is_file(), f"{name} is missing: pip install -r requirements/dev.txt"
    return str(path)
