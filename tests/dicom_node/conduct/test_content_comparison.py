"""Comparison of two contents of one UID in a child process with limits."""

import io
import threading
from pathlib import Path

import pytest

from core.errors import StoreUnavailable
from db.blobs.open_blobs import open_blobs
from db.engine import Database
from dicom_node.conduct.content_comparison import ContentComparer, same_content
from tests.dicom_node.conftest import MakeSettings
from tests.support.records import Sender, blob, scalar
from tests.support.seaweed import SeaweedFs
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


def test_content_whose_file_another_machine_has_removed_counts_as_different(
    database: Database, make_settings: MakeSettings, seaweed: SeaweedFs
) -> None:
    """It delays no other comparison. While the store does not answer, everything waits."""
    blobs = open_blobs(make_settings(store=seaweed.section(url="s3://blobs/comparison", timeout_s=2.0).model_dump()))
    comparer = ContentComparer(database, blobs, threading.Event())
    sender = Sender(database)
    for number in (1, 2):
        sender.send(number)
        sender.send(number, content=f"changed {number}")
    seaweed.kill()
    with pytest.raises(StoreUnavailable):
        comparer._compare_batch()
    seaweed.start()
    comparer._compare_batch()
    current = "SELECT array_agg(sha256 ORDER BY sop_instance_uid) FROM instances WHERE state = 'current'"
    assert scalar(database, current) == [blob("changed 1").sha256, blob("changed 2").sha256]
