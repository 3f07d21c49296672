"""Programs of others that tests check our results with."""

import os
import shutil

import pytest


def tool(name: str, package: str) -> str:
    """Path of a program. Without it a test fails in CI and says elsewhere why it is skipped."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed: apt-get install {package}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found)
