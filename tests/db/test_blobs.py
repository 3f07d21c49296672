import hashlib
import os
from pathlib import Path

import pytest

from core.errors import StorageError
from db.blobs import Blobs

CONTENT = b"one instance"
SHA = hashlib.sha256(CONTENT).hexdigest()


def files(root: Path) -> list[Path]:
    return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())


def test_put_keeps_the_bytes_under_their_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    ref = blobs.put(CONTENT)
    assert (ref.sha256, ref.size_bytes) == (SHA, len(CONTENT))
    assert blobs.read(SHA) == CONTENT
    assert files(tmp_path) == [Path(SHA[:2], SHA[2:4], SHA)]


def test_adopt_takes_a_file_of_tmp_and_leaves_none(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    received = blobs.tmp_dir / "from-the-network.dcm"
    received.write_bytes(CONTENT)
    assert blobs.adopt(received) == blobs.put(CONTENT)
    assert files(tmp_path) == [Path(SHA[:2], SHA[2:4], SHA)]


def test_a_blob_that_lost_its_end_is_healed_by_the_same_bytes(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    os.truncate(blobs.path(SHA), 3)
    blobs.put(CONTENT)
    assert blobs.read(SHA) == CONTENT


def test_what_the_disk_changed_is_never_handed_out(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    blobs.path(SHA).chmod(0o600)
    blobs.path(SHA).write_bytes(b"ONE INSTANCE")
    with pytest.raises(StorageError, match="not what was kept"):
        blobs.read(SHA)


def test_a_missing_blob_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        Blobs(tmp_path).read(SHA)


@pytest.mark.parametrize("hostile", ["../../etc/passwd", "a" * 63, SHA.upper(), "/" + "a" * 63, SHA + "\n", "", "..", "1.2.840.1"])
def test_nothing_but_a_hash_becomes_a_path(tmp_path: Path, hostile: str) -> None:
    with pytest.raises(StorageError, match="64 lower-case hex digits"):
        Blobs(tmp_path).path(hostile)


def test_a_crash_before_the_link_leaves_only_what_sweep_removes(tmp_path: Path) -> None:
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


def test_a_full_or_read_only_disk_is_a_storage_error(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.tmp_dir.rmdir()
    with pytest.raises(StorageError, match="cannot be written"):
        blobs.put(CONTENT)


def test_free_bytes_and_remove(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    blobs.put(CONTENT)
    assert blobs.free_bytes() > 0
    blobs.remove(SHA)
    blobs.remove(SHA)
    assert files(tmp_path) == []
