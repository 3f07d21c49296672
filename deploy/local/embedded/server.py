"""Base of the embedded servers: a data folder that one process at a time owns, and a server process that runs in it."""

import fcntl
import importlib.util
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import ConfigurationError, StorageError
from deploy.local.private_files import PRIVATE_UMASK, open_log_file, write_private_file

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 25.0
PORT_ATTEMPTS = 5  # another process may take the free port before the server does


class EmbeddedServer:
    """A server that listens on 127.0.0.1 only, with a random password that is kept beside its data.

    Parameters
    ----------
    data_dir
        Folder of the server: lock, password, log and data.
    port
        Port to listen on; 0: a free one.
    """

    name = ""
    _stop_signal = signal.SIGTERM

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def log_path(self) -> Path:
        """File that the server's output is appended to."""
        return self.data_dir / f"{self.name}.log"

    @property
    def running(self) -> bool:
        """Whether the server process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Start the server and wait until it accepts connections.

        Returns
        -------
        str
            The URL for clients; it contains the password.

        Raises
        ------
        ConfigurationError
            No suitable server is installed, or another process uses the folder.
        StorageError
            The server did not start.
        """
        self._lock_folder()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and unlock the folder."""
        self._end(self._stop_signal)
        self._unlock_folder()

    def _start(self) -> str:
        raise NotImplementedError

    def _lock_folder(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            message = f"{self.data_dir} is used by another running node"
            raise ConfigurationError(message, hint="stop it, or give another data_dir") from error
        self._lock = descriptor

    def _unlock_folder(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _password(self) -> str:
        """Return the server's password, which the first call creates."""
        path = self.data_dir / "password"
        if not path.exists():
            write_private_file(path, secrets.token_urlsafe(24))
        return path.read_text().strip()

    def _launch(self, command: Sequence[str], is_ready: Callable[[], bool], stdin: bytes = b"") -> bool:
        """Start the process and wait until it is ready. False: it ended or was not ready in time; the log has the reason."""
        with open_log_file(self.log_path) as log:
            # A session of its own: Ctrl-C in the terminal reaches only the node, which then stops its servers in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, umask=PRIVATE_UMASK
            )
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(stdin)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if is_ready():
                return True
            time.sleep(0.02)
        self._end(signal.SIGTERM)
        return False

    def _start_error(self) -> StorageError:
        tail = self.log_path.read_text(errors="replace").strip().splitlines()[-3:] if self.log_path.exists() else []
        return StorageError(f"the embedded {self.name} did not start: {' | '.join(tail)}", hint=f"see {self.log_path}")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def package_folder(package: str) -> Path | None:
    """Return the folder of an installed package without importing it; None when it is not installed."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or []) if spec else []
    return Path(locations[0]) if locations else None
