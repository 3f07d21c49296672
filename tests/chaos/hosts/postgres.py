"""Two PostgreSQL servers on two hosts: a primary, and a hot standby that has every commit before it is acknowledged.

`PostgresPair.fail_over` and `rejoin` are the procedure of docs/several-machines.md, command by command.
"""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from deploy.local.embedded.postgres_programs import command_prefix, programs_for_cluster, server_user
from tests.chaos.hosts.network import PREFIX, Host
from tests.chaos.hosts.sandbox import FAKETIME
from tests.support.node_process import wait_until

PORT, PASSWORD = 5432, "password-of-this-run"
NAME = "dicom_node"
SETTINGS = {
    "listen_addresses": "*", "port": str(PORT), "unix_socket_directories": "", "max_connections": "200", "timezone": "UTC",
    "wal_keep_size": "512MB", "max_wal_size": "256MB", "shared_buffers": "64MB", "wal_sender_timeout": "5s", "wal_receiver_timeout": "5s",
    "log_min_error_statement": "panic", "log_error_verbosity": "terse",
}  # fmt: skip
ACCESS = f"local all all trust\nhost all all {PREFIX}.0/24 scram-sha-256\nhost replication all {PREFIX}.0/24 scram-sha-256\n"
WAIT_S = 120.0


class PostgresServer:
    """One server on one host."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host, self.folder = host, folder
        folder.mkdir()
        self.user = server_user(folder / "data")
        self.programs = programs_for_cluster(folder / "data")
        if self.user is not None:
            shutil.chown(folder, self.user)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "data"

    def run(self, program: str, *arguments: str, **environment: str) -> None:
        """Run a program of PostgreSQL on this host."""
        command = self._command(program, *arguments)
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, f"{program}: {done.stdout[-500:]} {done.stderr[-1500:]}"

    def _command(self, program: str, *arguments: str) -> list[str]:
        prefix = command_prefix(self.user, self.programs, self.folder)
        clock = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME={self.host.clock_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC=1"]
        return self.host.command(*prefix, *(clock if self.host.clock_s else []), str(self.programs / program), *arguments)

    def create(self) -> None:
        """Create the cluster, with the node's role and database."""
        self.run("initdb", "-D", str(self.cluster), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        (self.cluster / "pg_hba.conf").write_text(ACCESS)
        (self.cluster / "postgresql.auto.conf").write_text("".join(f"{key} = '{value}'\n" for key, value in SETTINGS.items()))
        roles = f"CREATE ROLE {NAME} LOGIN REPLICATION PASSWORD '{PASSWORD}'\nALTER ROLE postgres PASSWORD '{PASSWORD}'\n"
        command = self._command("postgres", "--single", "-F", "-D", str(self.cluster), "template1")
        subprocess.run(command, input=f"{roles}CREATE DATABASE {NAME} OWNER {NAME}\n".encode(), check=True, capture_output=True, cwd="/")

    def copy_from(self, primary: "PostgresServer") -> None:
        """Copy the cluster of a primary, as its standby."""
        shutil.rmtree(self.cluster, ignore_errors=True)
        source = f"host={primary.host.address} port={PORT} user={NAME} application_name={self.host.name}"
        self.run(
            "pg_basebackup", "-D", str(self.cluster), "-d", source, "-R", "-X", "stream", "-c", "fast", "--no-sync", PGPASSWORD=PASSWORD
        )

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        with (self.folder / "log").open("ab") as log:
            command = self._command("postgres", "-D", str(self.cluster))
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
        wait_until(f"PostgreSQL on {self.host.name}", self._ready, timeout_s=WAIT_S, every_s=0.1)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return (self.cluster / "postmaster.pid").read_text().rstrip().endswith("ready")
        except OSError:
            return False

    def power_off(self) -> None:
        """End every process of the server at once, as a power failure does."""
        if self.process is not None:
            backends = psutil.Process(self.process.pid).children(recursive=True)  # each in a session of its own
            for process in (self.process, *backends):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.process.wait()
            self.process = None

    def execute(self, *statements: str) -> list[Any]:
        """Execute statements as a superuser; return the rows of the last one."""
        connection = psycopg2.connect(
            host=self.host.address, port=PORT, user="postgres", password=PASSWORD, dbname=NAME, connect_timeout=10
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()


class PostgresPair:
    """A primary and its standby, which change places."""

    def __init__(self, first: PostgresServer, second: PostgresServer) -> None:
        self.primary, self.standby = first, second
        self.servers = (first, second)

    @property
    def url(self) -> str:
        """The URL of both, for ``database.url``."""
        hosts = ",".join(f"{server.host.address}:{PORT}" for server in self.servers)
        return f"postgresql://{NAME}:{PASSWORD}@{hosts}/{NAME}"

    def start(self) -> None:
        """Start the primary and its standby."""
        self.primary.create()
        self.primary.start()
        self.add_standby()

    def add_standby(self) -> None:
        """Copy the primary to the standby's host, start it, and let commits wait for it from then on."""
        self.standby.copy_from(self.primary)
        self.standby.start()
        name = self.standby.host.name
        wait_until("the standby", lambda: self._streams(name), timeout_s=WAIT_S, every_s=0.2)
        self.primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'", "SELECT pg_reload_conf()")
        wait_until("synchronous replication", lambda: self._streams(name, "sync"), timeout_s=WAIT_S, every_s=0.2)

    def _streams(self, name: str, state: str = "async") -> bool:
        statement = f"SELECT state, sync_state FROM pg_stat_replication WHERE application_name = '{name}'"
        return self.primary.execute(statement) == [("streaming", state)]

    def promote_standby(self) -> float:
        """Make the standby the primary; return the seconds that it took. The old primary must not run any more."""
        assert self.primary.process is None, "the old primary still runs: two would take writes"
        began = time.monotonic()
        new = self.standby
        new.run("pg_ctl", "promote", "-D", str(new.cluster), "-t", str(int(WAIT_S)))
        new.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        self.primary, self.standby = self.standby, self.primary
        return time.monotonic() - began
