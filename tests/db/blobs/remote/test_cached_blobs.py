"""Blobs between machines: what one has stored another one reads, unaltered, with a bounded number of copies."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import StorageError
from db.blobs.remote.cached_blobs import CachedBlobs
from db.blobs.remote.copies import Copies
from tests.db.blobs.remote.conftest import Place

Machine = Callable[..., CachedBlobs]
ABSENT = "0" * 64


def copies(blobs: CachedBlobs) -> list[Path]:
    return [path for path in blobs.root.glob("[0-9a-f][0-9a-f]/*") if path.is_file()]


def test_what_one_machine_has_stored_another_one_reads(machine: Machine) -> None:
    writer, reader = machine(), machine()
    content = os.urandom(300_000)
    ref = writer.put(content)
    assert (ref.size_bytes, writer.put(content)) == (300_000, ref)
    assert copies(writer) == [writer.path(ref.sha256)]
    assert list(writer.tmp_dir.iterdir()) == []
    assert reader.has(ref.sha256)
    assert copies(reader) == []
    assert reader.read(ref.sha256) == content
    assert reader.fetch_all([ref.sha256] * 3) == [reader.path(ref.sha256)] * 3


def test_a_blob_that_the_store_does_not_have(machine: Machine) -> None:
    blobs = machine()
    assert not blobs.has(ABSENT)
    with pytest.raises(StorageError, match="blob 000000000000 is missing in"):
        blobs.fetch_all([ABSENT])
    for hostile in ("../../etc/passwd", "A" * 64, ""):
        for ask in (blobs.fetch, blobs.has, blobs.remove):
            with pytest.raises(StorageError, match="64 lower-case hex digits"):
                ask(hostile)


def test_other_content_is_refused_on_arrival(machine: Machine, place: Place) -> None:
    ref = machine().put(os.urandom(1000))
    place.damage(ref.sha256, b"other content")
    reader = machine()
    for ask in (reader.fetch, reader.read):
        with pytest.raises(StorageError, match="sent other content than blob"):
            ask(ref.sha256)
    assert copies(reader) == []
    assert list(reader.tmp_dir.iterdir()) == []


def test_an_altered_copy_is_fetched_anew(machine: Machine) -> None:
    blobs, content = machine(), os.urandom(1000)
    ref = blobs.put(content)
    blobs.path(ref.sha256).write_bytes(b"altered")
    assert blobs.read(ref.sha256) == content
    assert blobs.path(ref.sha256).read_bytes() == content


def test_copies_are_bounded_and_the_least_recently_used_go_first(machine: Machine) -> None:
    writer, reader = machine(), machine(max_bytes=10_000)
    refs = [writer.put(os.urandom(1000)) for _ in range(25)]
    for position, ref in enumerate(refs):
        used_at = reader._clock().timestamp() - 1000 + position
        os.utime(reader.fetch(ref.sha256), (used_at, used_at))
        assert sum(path.stat().st_size for path in copies(reader)) <= 10_000
    assert reader.path(refs[-1].sha256) in copies(reader)
    assert reader.path(refs[0].sha256) not in copies(reader)


def test_what_is_being_read_is_kept_beyond_the_limit(machine: Machine) -> None:
    writer, reader = machine(), machine(max_bytes=5_000)
    series = [writer.put(os.urandom(1000)).sha256 for _ in range(8)]
    others = [writer.put(os.urandom(1000)).sha256 for _ in range(8)]
    with reader.pinned(series):
        reader.fetch_all(series)
        reader.fetch_all(others)
        assert all(reader.path(sha256).is_file() for sha256 in series)
    reader.sweep(0.0)
    assert sum(path.stat().st_size for path in copies(reader)) <= 5_000
    assert list((reader.root / "pins").iterdir()) == []


def test_a_killed_process_keeps_nothing(machine: Machine) -> None:
    writer, reader = machine(), machine(max_bytes=2_000)
    series = [writer.put(os.urandom(1000)).sha256 for _ in range(4)]
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom core.clock import system_clock\nfrom db.blobs.remote.copies import Copies\n"
        "with Copies(Path(sys.argv[1]), 1, system_clock).pinned(sys.argv[2:]):\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(reader.root), *series], check=False, env={"PYTHONPATH": os.getcwd()})
    assert len(list((reader.root / "pins").iterdir())) == 1
    reader.fetch_all(series)
    assert len(copies(reader)) <= 2
    assert list((reader.root / "pins").iterdir()) == []


def test_copies_that_were_not_used_for_a_day_are_removed(machine: Machine) -> None:
    blobs = machine()
    old, new = (blobs.put(os.urandom(100)).sha256 for _ in range(2))
    os.utime(blobs.path(old), (1.0, 1.0))
    assert Copies(blobs.root, 1 << 30, blobs._clock).limit() == 1
    assert copies(blobs) == [blobs.path(new)]
