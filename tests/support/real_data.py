"""Where the real data lie that tests may use and the repository does not hold."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def data_folder() -> Path | None:
    """$DICOM_NODE_DATA, else ../shared/data beside the repository; None where neither is there."""
    named = os.environ.get("DICOM_NODE_DATA")
    folder = Path(named) if named else _BESIDE
    return folder if folder.is_dir() else None


def shared_data() -> Path:
    """The folder, or the test is skipped; in CI, where it must be there, the test fails."""
    folder = data_folder()
    if folder is not None:
        return folder
    message = "real data are absent: set DICOM_NODE_DATA to the data folder"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
