"""Comparison of two contents of one UID in a child process with limits."""

import io
from pathlib import Path

from dicom_node.conduct.content_comparison import same_content
from tests.support.series import encoded, image


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_same_different_malformed_missing_and_slow(tmp_path: Path) -> None:
    one = write(tmp_path / "one", encoded(image()))
    implicit = image()
    implicit.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    buffer = io.BytesIO()
    implicit.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=True)
    assert same_content(one, write(tmp_path / "same", buffer.getvalue()))
    assert not same_content(one, write(tmp_path / "other", encoded(image(PatientID="OTHER"))))
    assert not same_content(one, write(tmp_path / "broken", b"\xff" * 1000))
    assert not same_content(one, tmp_path / "missing")
    assert not same_content(one, one, timeout_s=0.001)
