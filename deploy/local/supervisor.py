"""`up`: every role on this machine, as children of one process; embedded servers where no URL is set."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import structlog

from core.errors import ConfigurationError, NodeError, StorageError
from core.settings.settings import Settings
from db.engine import Database
from db.roles.heartbeats import alive
from db.schema.upgrade import upgrade_schema
from deploy.local.child_process import Child
from deploy.local.embedded_servers import EmbeddedBroker, EmbeddedPostgres
from deploy.local.node_lock import NodeLock, Servers
from deploy.local.ports import accepts_connections, usable_port

# Upstream first: nothing new comes in while what is inside goes on its way. The servers stop last.
ROLES = ("listen", "conduct", "worker", "relay", "send", "console")
NEEDED = ("listen", "conduct", "relay", "worker", "send")
READY_TIMEOUT_S = 180.0
DRAIN_S = 26.0  # of the 30 that SIGTERM may take; the rest is for the servers
RESERVE_S = 1.5  # kept for each role that is still to be drained
GIVE_UP_AFTER = 5  # deaths of a role before the node was ready
USAGE = 2  # the status of a role whose configuration is wrong: starting it again cannot help

log = structlog.get_logger()


class Node:
    """The whole node. `run` blocks until SIGTERM or SIGINT has been obeyed."""

    def __init__(self, settings: Settings, config: Path | None, *, log_files: bool = False) -> None:
        self.settings = settings
        self.config = config
        self.log_files = log_files
        self.lock = NodeLock(settings.node.data_dir)
        self.children: list[Child] = []
        self.servers: list[EmbeddedPostgres | EmbeddedBroker] = []
        self.signals = 0
        self.asked = threading.Event()

    def run(self) -> int:
        """The exit status: 0 after SIGTERM, 1 where it did not become ready.

        Raises
        ------
        ConfigurationError
            The folder or a port is in use, or a server cannot be started.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        self.lock.take()
        try:
            urls = self._start_servers()
            database = Database.open(urls.database, pool_size=1)
            upgrade_schema(database)
            self.lock.publish(urls)
            self._start_roles(urls)
            self._wait_ready(database)
            while not self.asked.wait(0.2):
                self._tend()
            return 0
        finally:
            self._drain()
            self.lock.leave()
            log.info("stopped")

    def _ask(self, number: int, _: FrameType | None) -> None:
        self.signals += 1
        self.asked.set()

    def _start_servers(self) -> Servers:
        folder, database, broker = self.settings.node.data_dir, self.settings.database.url, self.settings.broker.url
        if not database:
            postgres = EmbeddedPostgres(folder / "postgresql")
            database = postgres.start()
            self._keep(postgres, database)
        if not broker:
            queue = EmbeddedBroker(folder / "broker")
            broker = queue.start()
            self._keep(queue, broker)
        return Servers(database=database, broker=broker)

    def _keep(self, server: EmbeddedPostgres | EmbeddedBroker, url: str) -> None:
        server.port = urlsplit(url).port or 0  # if it dies it comes back where its clients look for it
        self.servers.append(server)
        log.info("server started", name=server.name, port=server.port)

    def _start_roles(self, urls: Servers) -> None:
        node, console = self.settings.node, self.settings.console
        self.dicom_port = usable_port(node.host, node.port, "node")
        self.console_port = usable_port(console.host, console.port, "console")
        environment = {"DICOM_NODE_NODE__PORT": str(self.dicom_port), "DICOM_NODE_CONSOLE__PORT": str(self.console_port)}
        if not self.settings.database.url:
            environment["DICOM_NODE_DATABASE__URL"] = urls.database
        if not self.settings.broker.url:
            environment["DICOM_NODE_BROKER__URL"] = urls.broker
        config = ("--config", str(self.config)) if self.config is not None else ()
        for role in ROLES:
            path = node.data_dir / "logs" / f"{role}.log" if self.log_files else None
            child = Child(role, (role, *config), environment, path)
            self.children.append(child)
            child.start()

    def _wait_ready(self, database: Database) -> None:
        """Every needed role has beaten since the start, and the port answers; then the one line on standard output."""
        began, since = time.monotonic(), database.now()
        node, console = self.settings.node, self.settings.console
        while not self.asked.wait(0.1):
            self._tend()
            refused = [child.role for child in self.children if child.last_status == USAGE]
            if refused:
                message = f"role {', '.join(refused)} refuses to start with this configuration"
                raise ConfigurationError(message, hint=self._where(None))
            hopeless = [child for child in self.children if child.failures >= GIVE_UP_AFTER]
            if hopeless:
                raise StorageError(
                    f"role {hopeless[0].role} keeps ending with status {hopeless[0].last_status}", hint=self._where(hopeless[0])
                )
            beating = {beat.role for beat in alive(database, READY_TIMEOUT_S) if beat.at >= since}
            missing = [role for role in NEEDED if role not in beating]
            if not missing and accepts_connections(node.host, self.dicom_port):
                scheme = "https" if console.tls is not None else "http"
                dicom, web = f"{_shown(node.host)}:{self.dicom_port}", f"{_shown(console.host)}:{self.console_port}"
                print(f"ready dicom={node.ae_title}@{dicom} console={scheme}://{web}", flush=True)
                log.info("ready", seconds=round(time.monotonic() - began, 2))
                return
            if time.monotonic() - began > READY_TIMEOUT_S:
                raise StorageError(
                    f"not ready after {READY_TIMEOUT_S:.0f} s: waiting for {', '.join(missing) or 'the port'}", hint=self._where(None)
                )

    def _where(self, child: Child | None) -> str:
        if not self.log_files:
            return "its lines on standard error say why"
        return f"see {child.log_file if child is not None else self.settings.node.data_dir / 'logs'}"

    def _tend(self) -> None:
        for server in self.servers:
            if not server.running:
                log.error("an embedded server ended by itself and is started again", name=server.name)
                server.stop()
                try:
                    server.start()
                except NodeError as error:
                    log.error("it does not start", name=server.name, error=str(error))
                    self.asked.wait(2.0)
        for child in self.children:
            child.tend()

    def _drain(self) -> None:
        """Stop the roles in order, each within what is left of the time, then the servers. A second signal ends it at once."""
        deadline = time.monotonic() + DRAIN_S
        first = self.signals
        for index, child in enumerate(self.children):
            began = time.monotonic()
            child.terminate()
            last = deadline - RESERVE_S * (len(self.children) - index - 1)
            while child.alive and time.monotonic() < last and self.signals <= max(first, 1):
                time.sleep(0.02)
            if child.alive:
                log.warning("a role did not stop in time and is killed; its leases run out and its work is done again", name=child.role)
            child.kill()
            log.info("role stopped", name=child.role, seconds=round(time.monotonic() - began, 2))
        for server in reversed(self.servers):
            server.stop()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
