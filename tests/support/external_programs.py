"""Finds programs of other projects that tests use."""

import os
import shutil

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
