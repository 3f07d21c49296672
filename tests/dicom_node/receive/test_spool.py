"""The spool file of a C-STORE, and the check for free disk space."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.blobs.store import Blobs
from dicom_node.receive import spool as receive_spool
from dicom_node.receive.disk_space import MAX_AGE_S, DiskSpace
from dicom_node.receive.spool import BUFFER_BYTES, WRITE_OUT_BYTES, DataSetIdentity, SpoolFile
from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.wire import part10

IDENTITY = DataSetIdentity("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1")
HEAD = part10.encode_head(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.840.10008.1.2.1")


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(tmp_path_factory.mktemp("blobs"))


def edges() -> st.SearchStrategy[int]:
    """Lengths of fragments around the buffer's end, and small ones."""
    return st.integers(0, 70_000) | st.integers(BUFFER_BYTES - len(HEAD) - 2, BUFFER_BYTES + 2)


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(edges(), max_size=5), first=st.integers(0, 255), waits=st.sets(st.integers(0, 4)))
def test_every_byte_is_in_the_file_and_in_the_hash(blobs: Blobs, lengths: list[int], first: int, waits: set[int]) -> None:
    spool = SpoolFile(blobs, IDENTITY, max_bytes=1 << 30)
    fragments = [bytes([(first + number) % 256]) * length for number, length in enumerate(lengths)]
    for number, fragment in enumerate(fragments):
        spool.write(memoryview(fragment))
        if number in waits and spool.has_unwritten:
            spool.write_out()
            assert not spool.has_unwritten
    file = spool.finish()
    whole = HEAD + b"".join(fragments)
    try:
        assert Path(file.path).read_bytes() == whole
        assert (spool.sha256, file.size_bytes) == (hashlib.sha256(whole).hexdigest(), len(whole))
        assert (spool.beginning, spool.size_bytes) == (whole[:BEGINNING_BYTES], len(whole) - len(HEAD))
    finally:
        spool.discard()
    assert not list(blobs.tmp_dir.iterdir())


@pytest.mark.parametrize("slow", [False, True])
def test_the_file_of_a_slow_sender_is_written_before_it_is_swept(blobs: Blobs, monkeypatch: pytest.MonkeyPatch, slow: bool) -> None:
    spool = SpoolFile(blobs, IDENTITY, max_bytes=1 << 30)
    spool.write(bytes(WRITE_OUT_BYTES))
    spool.write_out()
    (path,) = blobs.tmp_dir.iterdir()
    os.utime(path, (0.0, 0.0))  # long ago
    monkeypatch.setattr(receive_spool, "WRITE_OUT_AFTER_S", -1.0 if slow else 3600.0)
    assert not spool.has_unwritten, "nothing has arrived since"
    spool.write(b"a few bytes")
    assert spool.has_unwritten is slow
    spool.write_out()
    assert blobs.sweep(60.0) == 0
    spool.discard()


@pytest.mark.parametrize("before", [0, 3 * BUFFER_BYTES])
def test_a_failed_spool_file_is_removed(blobs: Blobs, before: int) -> None:
    spool = SpoolFile(blobs, IDENTITY, max_bytes=before + 10)
    spool.write(bytes(before))
    assert len(list(blobs.tmp_dir.iterdir())) == (before > 0)
    spool.write(bytes(11))
    assert spool.error == "larger than receive.max_instance_bytes"
    assert not list(blobs.tmp_dir.iterdir())
    spool.discard()


def test_free_space_is_measured_again_where_the_estimate_is_too_low_or_old(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    left = [1000]

    def free(_: Blobs) -> int:
        asked.append(left[0])
        return left[0]

    monkeypatch.setattr(Blobs, "free_bytes", free)
    now = [0.0]
    monkeypatch.setattr("dicom_node.receive.disk_space.monotonic", lambda: now[0])
    space = DiskSpace(blobs)
    assert space.has(400)
    space.subtract(400)
    assert space.has(600)
    assert asked == [1000]
    left[0] = 550
    assert not space.has(601)
    assert asked == [1000, 550], "the estimate was too low, and so was the measurement"
    left[0] = 5000
    assert space.has(551)
    assert len(asked) == 3
    now[0] += MAX_AGE_S + 0.01
    left[0] = 10
    assert not space.has(100), "other programs write to the disk too"
