"""Blobs: written and fsynced before they are used, read only if unchanged, and nothing left after errors and crashes."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.errors import StorageError
from db.blobs.store import Blobs

CONTENT = b"one instance"
SHA = hashlib.sha256(CONTENT).hexdigest()


def files(root: Path) -> list[Path]:
    """All files below a folder, relative to it."""
    return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())


def test_put_writes_the_content_under_its_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    ref = blobs.put(CONTENT)
    assert (ref.sha256, ref.size_bytes) == (SHA, len(CONTENT))
    assert blobs.read(SHA) == CONTENT
    assert files(tmp_path) == [Path(SHA[:2], SHA)]


def test_adopt_moves_a_temporary_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    received = blobs.temporary()
    received.write(CONTENT)
    assert blobs.adopt(received, SHA) == blobs.put(CONTENT)
    assert files(tmp_path) == [Path(SHA[:2], SHA)]


def test_a_truncated_blob_is_replaced_by_the_same_content(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    os.truncate(blobs.path(SHA), 3)
    blobs.put(CONTENT)
    assert blobs.read(SHA) == CONTENT


def test_a_blob_whose_bytes_were_lost_is_replaced_by_the_same_content(tmp_path: Path) -> None:
    """A power loss between link and fsync may leave a file of the right length with wrong bytes."""
    blobs = Blobs(tmp_path)
    path = blobs.path(SHA)
    path.write_bytes(b"\0" * len(CONTENT))
    blobs.put(CONTENT)
    assert blobs.read(SHA) == CONTENT
    assert not list(blobs.tmp_dir.iterdir())


@pytest.mark.parametrize("ordered", [True, False])
def test_name_and_bytes_are_fsynced_before_put_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool) -> None:
    blobs, calls, fsync = Blobs(tmp_path), [], os.fsync
    monkeypatch.setattr(blobs, "_ordered", ordered)
    target = blobs.path(SHA)

    def recorded_fsync(descriptor: int) -> None:
        where = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append("folder" if where.is_dir() else f"file {'named' if target.exists() else 'without a name'}")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    blobs.put(CONTENT)
    assert calls == (["file named"] if ordered else ["file named", "folder"])


@pytest.mark.parametrize("known", [True, False])
def test_a_disk_error_leaves_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    blobs = Blobs(tmp_path)
    if known:
        blobs.put(CONTENT)

    def failing_fsync(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing_fsync)
    with pytest.raises(StorageError, match="cannot be written"):
        blobs.put(CONTENT)
    assert files(tmp_path) == ([Path(SHA[:2], SHA)] if known else [])


def test_the_same_content_from_many_threads(tmp_path: Path) -> None:
    blobs = [Blobs(tmp_path) for _ in range(4)]
    contents = [bytes([number]) * 100_000 for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda index: blobs[index % 4].put(contents[index // 8]), range(160)))
    assert len({ref.sha256 for ref in refs}) == 20
    assert [blobs[0].read(ref.sha256) for ref in refs[::8]] == contents
    assert len(files(tmp_path)) == 20


def test_content_that_changed_on_disk_is_not_returned(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    blobs.path(SHA).chmod(0o600)
    blobs.path(SHA).write_bytes(b"ONE INSTANCE")
    with pytest.raises(StorageError, match="has changed on disk"):
        blobs.read(SHA)


def test_a_missing_blob_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        Blobs(tmp_path).read(SHA)


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "a" * 63, SHA.upper(), "/" + "a" * 63, SHA + "\n", "", "..", "1.2.840.1"])
def test_only_a_hash_becomes_a_path(tmp_path: Path, hostile: str) -> None:
    with pytest.raises(StorageError, match="64 lower-case hex digits"):
        Blobs(tmp_path).path(hostile)


def test_a_crash_before_the_link_leaves_a_file_that_sweep_removes(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    child = os.fork()
    if child == 0:
        os.link = lambda *_: os._exit(9)  # type: ignore[assignment]  # the process dies at this instruction
        blobs.put(CONTENT)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (left,) = files(tmp_path)
    assert left.parts[0] == "tmp"
    assert blobs.sweep(older_than_s=3600) == 0
    os.utime(tmp_path / left, (0, 0))
    assert blobs.sweep(older_than_s=3600) == 1
    assert files(tmp_path) == []


def test_the_clock_of_a_machine_does_not_make_a_file_of_another_one_old(tmp_path: Path) -> None:
    """Two machines share the folder, and the clock of one is an hour ahead: it leaves what the other one is writing."""
    writing = Blobs(tmp_path).temporary()
    ahead = Blobs(tmp_path, clock=lambda: datetime.now(UTC) + timedelta(hours=1))
    assert ahead.sweep(older_than_s=250) == 0
    assert files(tmp_path) != []
    writing.discard()


def test_a_full_or_read_only_disk_is_a_storage_error(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.tmp_dir.rmdir()
    with pytest.raises(StorageError, match="cannot be written"):
        blobs.put(CONTENT)


def test_blobs_in_the_former_folders_are_found_listed_and_removed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    former = tmp_path / SHA[:2] / SHA[2:4] / SHA
    former.parent.mkdir()
    former.write_bytes(CONTENT)
    assert blobs.read(SHA) == CONTENT
    assert [names for names in blobs.folders() if names] == [[SHA]]
    blobs.put(CONTENT)  # received again
    assert files(tmp_path) == [Path(SHA[:2], SHA), Path(SHA[:2], SHA[2:4], SHA)]
    assert [names for names in blobs.folders() if names] == [[SHA]]
    blobs.remove(SHA)
    assert files(tmp_path) == []
    assert not blobs.has(SHA)


def test_free_bytes_and_remove(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    assert blobs.free_bytes() > 0
    blobs.remove(SHA)
    blobs.remove(SHA)
    assert files(tmp_path) == []
