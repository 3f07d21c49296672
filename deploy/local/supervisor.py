"""Carries out ``up``: every role as a child of one process, and embedded servers where no URL is set."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from core import process_memory
from core.errors import ConfigurationError, NodeError, StorageError
from core.settings.settings import Settings
from deploy.local.child_process import SupervisedRole
from deploy.local.configuration_copy import ConfigurationCopy
from deploy.local.database.database_roles import upgrade_database
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.local.embedded.postgres import EmbeddedPostgres
from deploy.local.embedded.server import EmbeddedServer
from deploy.local.forked_process import ROLE_MODULES, import_role
from deploy.local.node_lock import NodeLock, ServerUrls
from deploy.local.ports import usable_port
from deploy.local.reload_request import ReloadAnswer, read_answer, write_answer
from deploy.tls_files import check_tls_files

# What needs SQLAlchemy is imported in the methods that use it: the embedded servers start before that library is loaded.
if TYPE_CHECKING:
    from db.engine import Database
    from deploy.local.readiness import Readiness

# The order in which roles stop: no new instance is received while those inside are finished. The servers stop last.
ROLES = ("listen", "conduct", "worker", "relay", "send", "console")
# The order in which they start: the listener first; then the worker, whose children load their models while this process goes on importing.
START_ORDER = tuple(ROLE_MODULES)
FIRST_ROLE = START_ORDER[0]
DRAIN_TIMEOUT_S = 26.0  # of the 30 s that a node may take after SIGTERM; the rest is for the servers
RESERVE_S = 1.5  # kept for each role that is still to be stopped
RELOADING_ROLES = ("listen", "conduct", "send", "console")
# The worker loads the models of the routes and makes the objects of the destinations.
RESTARTED_FOR = {"worker": {"routes", "destinations"}}
RESTART_PAUSE_S = 2.0  # after an embedded server that did not start

log = structlog.get_logger()


class Supervisor:
    """The whole node on one machine. `run` returns after SIGTERM or SIGINT, when everything has stopped.

    Parameters
    ----------
    config
        The configuration file, for the roles.
    log_files
        Each role logs to a file in ``data_dir/logs`` instead of standard error.
    """

    def __init__(self, settings: Settings, config: Path | None, *, log_files: bool = False) -> None:
        self.settings = settings
        self.config = config
        self.logs = settings.node.data_dir / "logs" if log_files else None
        self.lock = NodeLock(settings.node.data_dir)
        self.configuration = ConfigurationCopy(config, self.lock.folder)
        self.roles: list[SupervisedRole] = []
        self.servers: list[EmbeddedServer] = []
        self.dicom_port = self.console_port = 0
        self.signals_received = 0
        self.stop_requested = threading.Event()
        self.reload_requested = threading.Event()
        self.database: Database | None = None

    def run(self) -> int:
        """Run the node and return the exit status: 0 after SIGTERM or SIGINT.

        Raises
        ------
        ConfigurationError
            The folder or a port is in use, a server cannot be started, or a role refuses the configuration.
        StorageError
            The node did not become ready.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request_stop)
        signal.signal(signal.SIGHUP, lambda _number, _frame: self.reload_requested.set())
        self.lock.acquire()
        try:
            check_tls_files(self.settings)
            self.configuration.write()
            self._check_ports()
            # Imports in a thread while the servers start, which are processes of their own. The thread ends before the first fork.
            importing = threading.Thread(target=import_role, args=(FIRST_ROLE,))
            importing.start()
            try:
                urls = self._start_servers()
            finally:
                importing.join()
            readiness = self._open_database(urls)
            self._start_roles(urls)
            self._wait_until_ready(readiness)
            process_memory.freeze_garbage_collector()
            while not self.stop_requested.wait(0.2):
                if self.reload_requested.is_set():
                    self._reload()
                self._restart_what_ended()
            return 0
        finally:
            self._stop()
            self.configuration.remove()
            self.lock.release()
            log.info("node_stopped")

    def _request_stop(self, number: int, _: FrameType | None) -> None:
        self.signals_received += 1
        self.stop_requested.set()

    def _start_servers(self) -> ServerUrls:
        folder, database, broker = self.settings.node.data_dir, self.settings.database.url, self.settings.broker.url
        if not database:
            database = self._start_server(EmbeddedPostgres(folder / "postgresql"))
        if not broker:
            broker = self._start_server(EmbeddedBroker(folder / "broker"))
        return ServerUrls(database=database, broker=broker)

    def _start_server(self, server: EmbeddedServer) -> str:
        url = server.start()
        server.port = urlsplit(url).port or 0  # a restarted server listens where its clients expect it
        self.servers.append(server)
        log.info("embedded_server_started", name=server.name, port=server.port)
        return url

    def _open_database(self, urls: ServerUrls) -> "Readiness":
        """Open the database, bring its schema to the newest revision, and publish the URLs for other commands."""
        from db.engine import Database
        from db.operations.configuration_audit import record_configuration
        from deploy.local.readiness import Readiness
        from deploy.reload import config_digest

        self.database = Database.open(urls.database, pool_size=1)
        upgrade_database(self.settings, urls.database)
        record_configuration(self.database, actor="up", digest=config_digest(self.config))
        self.lock.publish(urls)
        return Readiness(self.settings, self.database, self.roles, self.dicom_port, self.logs)

    def _check_ports(self) -> None:
        """Take the ports of the settings, free ones for 0, before any server is started for nothing."""
        node, console = self.settings.node, self.settings.console
        self.dicom_port = usable_port(node.host, node.port, "node")
        self.console_port = usable_port(console.host, console.port, "console")

    def _start_roles(self, urls: ServerUrls) -> None:
        self._close_connections()
        environment = {
            "DICOM_NODE_NODE__PORT": str(self.dicom_port),
            "DICOM_NODE_CONSOLE__PORT": str(self.console_port),
            "DICOM_NODE_NODE__DATA_DIR": str(self.settings.node.data_dir.resolve()),  # not relative to the copy of the file
        }
        if not self.settings.database.url:
            environment["DICOM_NODE_DATABASE__URL"] = urls.database
        if not self.settings.broker.url:
            environment["DICOM_NODE_BROKER__URL"] = urls.broker
        for name in ROLES:
            log_file = self.logs / f"{name}.log" if self.logs is not None else None
            self.roles.append(SupervisedRole(name, (name, *self.configuration.options()), environment, log_file))
        for role in sorted(self.roles, key=lambda role: START_ORDER.index(role.role)):
            if not self.stop_requested.is_set():
                role.start()

    def _close_connections(self) -> None:
        """Close the connections to the database: a forked role must not share them."""
        if self.database is not None:
            self.database.dispose()

    def _wait_until_ready(self, readiness: "Readiness") -> None:
        """Print the line ``ready ...`` on standard output as soon as the node is ready."""
        node, console = self.settings.node, self.settings.console
        while not self.stop_requested.wait(0.1):
            self._restart_what_ended()
            if readiness.is_ready():
                scheme = "https" if console.tls is not None else "http"
                dicom, web = f"{_in_url(node.host)}:{self.dicom_port}", f"{_in_url(console.host)}:{self.console_port}"
                print(f"ready dicom={node.ae_title}@{dicom} console={scheme}://{web}", flush=True)
                log.info("node_ready", seconds=round(readiness.seconds, 2))
                return

    def _reload(self) -> None:
        """Read the configuration again, pass the change to the roles, and write the answer to the one who asked.

        A file that is wrong, or a full disk, changes nothing and does not end the node.
        """
        from deploy.reload import read_change

        self.reload_requested.clear()
        number = read_answer(self.settings.node.data_dir).number + 1
        try:
            change = read_change(self.settings, self.config)
            self.configuration.write(change.digest)
        except (ConfigurationError, OSError) as error:
            log.error("configuration_not_reloaded", error=str(error))
            self._answer_reload(ReloadAnswer(number, error=str(error)))
            return
        log.info("configuration_reloaded", reason=str(change))
        self.settings = change.settings
        for role in self.roles:
            if role.role in RELOADING_ROLES:
                role.send_signal(signal.SIGHUP)
            elif set(change.changed) & RESTARTED_FOR.get(role.role, set()):
                role.restart_in_order()
        self._answer_reload(ReloadAnswer(number, change.changed, change.restart))

    def _answer_reload(self, answer: ReloadAnswer) -> None:
        try:
            write_answer(self.settings.node.data_dir, answer)
        except OSError as error:
            log.error("reload_not_answered", error=str(error))

    def _forget_ended_processes(self) -> None:
        """Delete the heartbeats of roles that were killed, so that status page and metrics do not list them until they are too old."""
        from db.roles import dead_processes
        from db.roles.process_name import host_name

        if self.database is not None and any(role.ended for role in self.roles):
            try:
                dead_processes.delete_dead_heartbeats(self.database, host_name())
            except StorageError as error:
                log.warning("heartbeats_of_ended_roles_not_deleted", error=str(error))

    def _restart_what_ended(self) -> None:
        for server in self.servers:
            if not server.running:
                log.error("embedded_server_ended_and_restarts", name=server.name)
                server.stop()
                try:
                    server.start()
                except NodeError as error:
                    log.error("embedded_server_start_failed", name=server.name, error=str(error))
                    self.stop_requested.wait(RESTART_PAUSE_S)
        if not all(role.alive for role in self.roles):
            self._forget_ended_processes()
            self._close_connections()
        for role in self.roles:
            role.restart_if_ended()

    def _stop(self) -> None:
        """Stop the roles in order, each within what is left of the time, then the servers. A second signal skips the waiting."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        signals_before = self.signals_received
        for index, role in enumerate(self.roles):
            began = time.monotonic()
            role.terminate()
            latest = deadline - RESERVE_S * (len(self.roles) - index - 1)
            while role.alive and time.monotonic() < latest and self.signals_received <= max(signals_before, 1):
                time.sleep(0.02)
            if role.alive:
                log.warning("role_killed", name=role.role, reason="did not stop in time; its leases expire and its work is repeated")
            role.kill()
            log.info("role_stopped", name=role.role, seconds=round(time.monotonic() - began, 2))
        for server in reversed(self.servers):
            server.stop()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
