"""Verification of input files."""

from pathlib import Path

import pytest

from core.errors import StorageError
from workers.attempt.inputs import verify


def test_verify_detects_an_altered_file(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"content")
    with pytest.raises(StorageError, match="altered"):
        verify(path, "0" * 64)
