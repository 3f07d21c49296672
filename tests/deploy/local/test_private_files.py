"""Only the user of the node can read the data folder, the logs and the files of the broker."""

import os
from pathlib import Path

from db.blobs.store import Blobs
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.local.node_lock import NodeLock
from deploy.local.private_files import open_log_file

OTHERS = 0o077


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_data_folder_and_the_blobs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    lock = NodeLock(data)
    lock.acquire()
    lock.release()
    assert mode(data) == (0o711 if os.geteuid() == 0 else 0o700)  # the embedded PostgreSQL of root runs as another user
    assert mode(data / "run") == 0o700
    Blobs(data / "blobs")
    assert mode(data / "blobs") == 0o700


def test_a_log_of_an_earlier_version_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "listen.log"
    path.write_text("before\n")
    path.chmod(0o644)
    with open_log_file(path) as log:
        log.write(b"after\n")
    assert mode(path) == 0o600
    assert path.read_text() == "before\nafter\n"


def test_the_files_of_the_broker(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker")
    broker.start()
    try:
        found = [path for path in (tmp_path / "broker").rglob("*") if path.is_file()]
        assert {"broker.log", "password", "lock"} <= {path.name for path in found}
        assert len(found) > 3  # the append-only file too
        assert [path.name for path in found if mode(path) & OTHERS] == []
        assert mode(tmp_path / "broker") == 0o700
    finally:
        broker.stop()
