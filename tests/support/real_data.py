"""Finds the real data that tests may use and that are not in the repository."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def data_folder() -> Path | None:
    """Return $DICOM_NODE_DATA, else ../shared/data beside the repository; None when neither exists."""
    named = os.environ.get("DICOM_NODE_DATA")
    folder = Path(named) if named else _BESIDE
    return folder if folder.is_dir() else None


def shared_data(needed: str = "") -> Path:
    """Return the folder. Without it, or without the file or folder ``needed`` in it, the test is skipped, in CI it fails."""
    folder = data_folder()
    if folder is not None and (folder / needed).exists():
        return folder
    message = f"real data are absent ({needed or 'the folder'}): set DICOM_NODE_DATA to the data folder"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
