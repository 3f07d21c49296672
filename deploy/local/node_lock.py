"""The lock of the node that runs in a data folder, and the URLs of its embedded servers.

``data_dir/run/node.lock`` is locked (flock) as long as ``up`` runs. ``data_dir/run/servers.json`` has the URLs, so that
commands such as ``dicom-node jobs list`` find the servers without a configured URL.
"""

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.local.private_files import make_private_folder, write_private_file

NO_DATABASE_HINT = "name the configuration of the node with --config FILE, start `dicom-node up` with it, or set database.url"
LOOK_S = 0.5  # how long a command that looks at the lock is waited for


@dataclass(frozen=True, slots=True)
class ServerUrls:
    """URLs of the database and the broker of a node; they contain passwords."""

    database: str
    broker: str


class NodeLock:
    """Prevents a second node in the same data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "run"
        self._file: int | None = None

    def acquire(self) -> None:
        """Lock the folder.

        Raises
        ------
        ConfigurationError
            Another node runs in it, or this user may not write there.
        """
        try:
            make_private_folder(self.folder.parent, pass_through=os.geteuid() == 0)
            make_private_folder(self.folder)
            descriptor = os.open(self.folder / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"the data folder {self.folder.parent} cannot be written: {error.strerror}"
            raise ConfigurationError(message, hint="set node.data_dir to a folder that this user may write") from error
        try:
            _lock_exclusively(descriptor)
        except OSError as error:
            pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            message = f"a node already runs in {self.folder.parent} (process {pid})"
            raise ConfigurationError(message, hint="stop it, or give this one another node.data_dir") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._file = descriptor
        (self.folder / "servers.json").unlink(missing_ok=True)  # of a node that was killed

    def publish(self, urls: ServerUrls) -> None:
        """Write the URLs to a file that only this user can read."""
        write_private_file(self.folder / "servers.json", json.dumps(asdict(urls)))

    def release(self) -> None:
        """Remove the URLs and unlock the folder."""
        (self.folder / "servers.json").unlink(missing_ok=True)
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _lock_exclusively(descriptor: int) -> None:
    """Lock a file. Commands hold a shared lock for microseconds in `running_servers`: a node holds its own for as long as it runs."""
    deadline = time.monotonic() + LOOK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def running_servers(data_dir: Path) -> ServerUrls | None:
    """Return the servers of the node that runs in ``data_dir``; None when none runs, even if a killed one has left its file."""
    lock, servers = data_dir / "run" / "node.lock", data_dir / "run" / "servers.json"
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several commands may look at the same time
    except OSError:  # another process has the lock: the node runs
        return ServerUrls(**json.loads(servers.read_text())) if servers.exists() else None
    finally:
        os.close(descriptor)
    return None


def with_server_urls(settings: Settings, urls: ServerUrls) -> Settings:
    """Return ``settings`` with those URLs filled in that the configuration leaves empty."""
    database = settings.database.model_copy(update={"url": settings.database.url or urls.database})
    broker = settings.broker.model_copy(update={"url": settings.broker.url or urls.broker})
    return settings.model_copy(update={"database": database, "broker": broker})
