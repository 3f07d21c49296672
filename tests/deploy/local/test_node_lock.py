"""One node per data folder; other commands find its servers while it runs."""

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from deploy.local.node_lock import NodeLock, ServerUrls, running_servers
from deploy.local.ports import accepts_connections, usable_port

URLS = ServerUrls(database="postgresql://a:b@127.0.0.1:1/c", broker="redis://127.0.0.1:2/0")


def test_the_servers_are_found_while_the_node_runs(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    assert running_servers(tmp_path) is None
    lock.acquire()
    lock.publish(URLS)
    assert running_servers(tmp_path) == URLS
    mode = stat.S_IMODE((tmp_path / "run" / "servers.json").stat().st_mode)
    assert mode == 0o600
    lock.release()
    assert running_servers(tmp_path) is None


def test_the_file_of_a_killed_node_is_ignored(tmp_path: Path) -> None:
    if (child := os.fork()) == 0:
        lock = NodeLock(tmp_path)
        lock.acquire()
        lock.publish(URLS)
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / "run" / "servers.json").exists()
    assert running_servers(tmp_path) is None


def test_the_file_of_a_killed_node_is_ignored_while_commands_run(tmp_path: Path) -> None:
    """A command that starts the server itself has the lock, and several commands may look at the same time."""
    lock = NodeLock(tmp_path)
    lock.acquire()
    lock.release()
    lock.publish(URLS)
    with (tmp_path / "run" / "node.lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)  # as `running_servers` does
        assert running_servers(tmp_path) is None
    lock.acquire()
    assert running_servers(tmp_path) is None
    lock.release()


def test_a_command_that_looks_at_the_lock_does_not_prevent_a_start(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path)
    lock.acquire()
    lock.release()
    with (tmp_path / "run" / "node.lock").open() as looking, ThreadPoolExecutor(1) as pool:
        fcntl.flock(looking, fcntl.LOCK_SH)  # as `running_servers` does
        starting = pool.submit(lock.acquire)
        with pytest.raises(TimeoutError):
            starting.result(0.05)
        fcntl.flock(looking, fcntl.LOCK_UN)
        starting.result()
    lock.release()


def test_a_second_node_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    first = NodeLock(tmp_path)
    first.acquire()
    with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
        NodeLock(tmp_path).acquire()
    first.release()
    second = NodeLock(tmp_path)
    second.acquire()
    second.release()


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"file/data cannot be written: Not a directory \(set node.data_dir"):
        NodeLock(tmp_path / "file" / "data").acquire()


def test_a_port_in_use_is_named() -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert accepts_connections("127.0.0.1", port)
        with pytest.raises(ConfigurationError, match=rf"node\.port = {port}"):
            usable_port("127.0.0.1", port, "node", wait_s=0.0)
    assert usable_port("127.0.0.1", port, "node") == port
    assert not accepts_connections("127.0.0.1", port)
    assert usable_port("127.0.0.1", 0, "node") > 0
