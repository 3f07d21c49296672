"""The node that runs in a data folder: its lock, and where its embedded servers listen.

``data_dir/run/node.lock`` is held (flock) as long as `up` runs; ``data_dir/run/servers.json`` says where its servers are,
so that `dicom-node jobs list` and the like find them without a URL.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs of the servers of a running node; they hold passwords."""

    database: str
    broker: str


class NodeLock:
    """One `up` per data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "run"
        self._file: int | None = None

    def take(self) -> None:
        """Raises ConfigurationError where another node runs in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            message = f"a node already runs in {self.folder.parent} (process {pid})"
            raise ConfigurationError(message, hint="stop it, or give this one another node.data_dir") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._file = descriptor

    def publish(self, servers: Servers) -> None:
        """Say where the servers are, to this user only."""
        fresh = self.folder / "servers.json.new"
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(asdict(servers)))
        fresh.replace(self.folder / "servers.json")

    def leave(self) -> None:
        (self.folder / "servers.json").unlink(missing_ok=True)
        if self._file is not None:
            os.close(self._file)
            self._file = None


def running_servers(data_dir: Path) -> Servers | None:
    """The servers of the node that runs in ``data_dir``; None where none runs (a file that a killed one left counts for nothing)."""
    lock, servers = data_dir / "run" / "node.lock", data_dir / "run" / "servers.json"
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held: it runs
        return Servers(**json.loads(servers.read_text())) if servers.exists() else None
    finally:
        os.close(descriptor)
    return None
