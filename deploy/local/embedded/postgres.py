"""The embedded PostgreSQL, started where no URL of a database is set."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from core.errors import StorageError
from deploy.local.child_process import end_with_parent
from deploy.local.database.database_roles import ADMIN, NODE, adopt_cluster, is_adopted, read_password, role_url
from deploy.local.embedded.postgres_programs import command_prefix, programs_for_cluster, server_user
from deploy.local.embedded.server import PORT_ATTEMPTS, STOP_TIMEOUT_S, EmbeddedServer
from deploy.local.ports import free_port
from deploy.local.private_files import open_log_file

SETTINGS = (
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


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL in ``data_dir`` (cluster in ``data_dir/data``), with the database ``dicom_node``.

    The URL is ``postgresql://dicom_node:password@127.0.0.1:port/dicom_node``. That role is the node's own and no superuser. The superuser
    is ``dicom_node_admin``, with a password of its own; it upgrades the schema (`deploy.local.database.database_roles`).
    """

    name = "postgresql"
    _stop_signal = signal.SIGINT  # "fast shutdown": open transactions are rolled back, nothing committed is lost

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data folder; it exists once the first start has created it completely."""
        return self.data_dir / "data"

    def _start(self) -> str:
        programs = programs_for_cluster(self.cluster)
        user = server_user(self.cluster)
        prefix = command_prefix(user, programs, self.data_dir)
        if not (self.cluster / "PG_VERSION").exists():
            self._create_cluster(programs, prefix, user)
        self._stop_orphaned_server(programs, prefix)
        for _ in range(1 if self.port else PORT_ATTEMPTS):
            port = self.port or free_port()
            arguments = [part for setting in (f"port={port}", *SETTINGS) for part in ("-c", setting)]
            command = [*prefix, *end_with_parent("INT"), str(programs / "postgres"), "-D", str(self.cluster), *arguments]
            if self._launch(command, self._is_ready):
                url = role_url(self.data_dir, NODE, port)
                if not is_adopted(self.data_dir):
                    adopt_cluster(self.data_dir, url)
                return url
        raise self._start_error()

    def _is_ready(self) -> bool:
        """The postmaster writes its status to the last line of its pid file."""
        try:
            return (self.cluster / "postmaster.pid").read_text().rstrip().endswith("ready")
        except OSError:
            return False

    def _create_cluster(self, programs: Path, prefix: list[str], user: str | None) -> None:
        """Run initdb in another folder, which is renamed when it is complete: a killed first start leaves no partial cluster."""
        fresh = self.data_dir / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        password_file = self.data_dir / "password.initdb"
        password_file.touch(mode=0o600)
        password_file.write_text(read_password(self.data_dir, ADMIN))
        if user is not None:
            shutil.chown(fresh, user)
            shutil.chown(password_file, user)
        initdb = [str(programs / "initdb"), "-D", str(fresh), "-U", ADMIN, "-A", "scram-sha-256", "--pwfile", str(password_file),
                  "-E", "UTF8", "--no-locale", "--no-sync"]  # fmt: skip
        single_user = [str(programs / "postgres"), "--single", "-F", "-D", str(fresh), "template1"]
        roles = [
            f"CREATE ROLE {NODE} LOGIN PASSWORD '{read_password(self.data_dir, NODE)}'",
            f"GRANT CREATE ON SCHEMA public TO {NODE}",  # copied into the database
            "CREATE DATABASE dicom_node",
        ]
        try:
            for command, stdin in ((initdb, b""), (single_user, "".join(f"{line}\n" for line in roles).encode())):
                done = subprocess.run([*prefix, *command], input=stdin, capture_output=True, check=False, cwd="/")
                with open_log_file(self.log_path) as log:
                    log.write(done.stdout + done.stderr)
                if done.returncode != 0:
                    raise self._start_error()
        finally:
            password_file.unlink()
        os.sync()  # one call for all files: without --no-sync, initdb waits for the disk at each of a thousand files
        fresh.rename(self.cluster)

    def _stop_orphaned_server(self, programs: Path, prefix: list[str]) -> None:
        """Stop a server that outlived its node. The folder is locked by this process, so no other node uses it."""
        if (self.cluster / "postmaster.pid").exists():
            stop = [*prefix, str(programs / "pg_ctl"), "stop", "-D", str(self.cluster), "-m", "fast", "-t", str(int(STOP_TIMEOUT_S))]
            subprocess.run(stop, capture_output=True, check=False, cwd="/")  # fails when the server does not run: the file is stale
            self._remove_stale_pid_file()

    def _remove_stale_pid_file(self) -> None:
        """Remove the pid file that a power failure left behind; its pid may belong to another program by now."""
        path = self.cluster / "postmaster.pid"
        if path.exists():
            pid = next(iter(path.read_text().split()), "")  # "": the file was not on disk yet, or the disk was full
            if pid.isdecimal() and "postgres" in _program_name(int(pid)):
                raise StorageError(f"PostgreSQL (pid {pid}) still runs in {self.cluster}", hint="stop it and start again")
            path.unlink()


def _program_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
