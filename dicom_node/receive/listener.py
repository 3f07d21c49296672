"""The role ``listen``: the storage and verification SCP, in one process or several on one port."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog
from pydicom.uid import UID
from pynetdicom import AE, build_context

from core.errors import ConfigurationError, StorageError
from core.settings.settings import Settings
from core.tls import server_context
from core.uids import IMPLEMENTATION_CLASS_UID
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node import IMPLEMENTATION_VERSION_NAME, contexts
from dicom_node.receive.back_pressure import Gate
from dicom_node.receive.handlers import Handlers
from dicom_node.receive.leases import Leases
from dicom_node.receive.processes import Siblings
from dicom_node.receive.receive_counts import ReceivedCounts
from dicom_node.receive.server import NodeServer
from dicom_node.receive.spool import Command, Spool
from dicom_node.role import Beating, role_name, wait_until
from dicom_node.sockets import MAX_PDU_BYTES

DRAIN_S = 20.0
SWEEP_OLDER_THAN_S = 24 * 3600.0
CONNECTIONS_PER_ASSOCIATION = 4  # connections that have not said who they are must not crowd out those that have


def run(
    settings: Settings,
    database: Database,
    blobs: Blobs,
    stop: threading.Event,
    on_ready: Callable[[str, int], None] = lambda _host, _port: None,
) -> None:
    """Serve until ``stop`` is set, then drain: associations in progress may finish within 20 s.

    Parameters
    ----------
    on_ready
        Called with host and port once associations are accepted (``node.port = 0`` takes a free port).

    Raises
    ------
    ConfigurationError
        The address cannot be bound, or the TLS files cannot be used.
    """
    blobs.sweep(SWEEP_OLDER_THAN_S)
    several = settings.node.processes > 1
    with (
        Listener(settings, database, blobs, reuse_port=several) as listener,
        Siblings(settings, listener.port, database, blobs) as siblings,
        Beating(database, "listen", listener.details),
    ):
        on_ready(settings.node.host, listener.port)
        while not stop.wait(1.0 if several else None):
            siblings.tend()
        siblings.ask_to_stop()  # they drain at the same time as this one
        listener.drain(DRAIN_S)


class Listener:
    """One server with its handlers; accepts associations from the moment it is built."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, *, reuse_port: bool) -> None:
        self._log = structlog.get_logger()
        self._settings = settings
        self._leases = Leases(database, listener=role_name(), lease_s=settings.receive.association_lease_s)
        self._counts = ReceivedCounts(database)
        self._gate = Gate(settings, database, blobs, beside=self._counts.flush)
        self._handlers = Handlers(settings, database, blobs, self._leases, self._gate, self._counts)
        self._blobs = blobs
        entity = _entity(settings)
        self._server: NodeServer = self._bind(entity, reuse_port)
        entity._servers.append(self._server)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listen", daemon=True)
        self._thread.start()
        self._gate.start()
        self._log.info("listening", host=settings.node.host, port=self.port, ae_title=settings.node.ae_title)

    def _bind(self, entity: AE, reuse_port: bool) -> NodeServer:
        node = self._settings.node
        try:
            return NodeServer(
                entity,
                (node.host, node.port),
                node.ae_title,
                [build_context(contexts.VERIFICATION)],
                server_context(node.tls, "node.tls", require_client=node.tls.require_client_cert) if node.tls is not None else None,
                self._handlers.bound(),
                make_spool=self._make_spool,
                store=self._handlers.store,
                on_end=self._handlers.ended,
                max_connections=self._settings.receive.max_associations * CONNECTIONS_PER_ASSOCIATION,
                reuse_port=reuse_port,
            )
        except OSError as error:
            self._leases.stop(1.0)
            message = f"node.host {node.host} port {node.port} cannot be listened on: {error.strerror or error}"
            raise ConfigurationError(message, hint="another program has it, or the address is not this machine's") from error

    def _make_spool(self, command: Command) -> Spool:
        spool = Spool(self._blobs, command, max_bytes=self._settings.receive.max_instance_bytes)
        if closed := self._gate.closed:
            spool.fail(closed)  # nothing of it is kept; the answer says why
        return spool

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.drain(0.0)

    def details(self) -> dict[str, str]:
        """For the heartbeat."""
        node = self._settings.node
        return {
            "ae_title": node.ae_title,
            "host": node.host,
            "port": str(self.port),
            "associations": str(self._leases.count()),
            "received": str(self._handlers.received),
            "processes": str(node.processes),
        }

    def drain(self, seconds: float) -> None:
        """Accept nothing more, let associations in progress finish, abort those that do not. Harmless twice."""
        if self._handlers.draining:
            return
        self._handlers.draining = True
        self._server.shutdown()
        self._thread.join(5.0)
        if not wait_until(lambda: self._leases.count() == 0, seconds):
            self._log.warning("associations aborted at shutdown", count=self._leases.count())
        for association in self._server.active_associations:
            association.abort()
        wait_until(lambda: self._leases.count() == 0, 2.0)
        self._leases.stop(5.0)
        self._handlers.close()
        self._gate.stop()
        with suppress(StorageError):  # counts alone
            self._counts.flush()
        self._log.info("drained", pid=os.getpid())


def _entity(settings: Settings) -> AE:
    entity = AE(settings.node.ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    receive = settings.receive
    entity.maximum_pdu_size = MAX_PDU_BYTES
    entity.acse_timeout = receive.acse_timeout_s
    entity.dimse_timeout = receive.dimse_timeout_s
    entity.network_timeout = receive.network_timeout_s
    # Ours counts those that were admitted; pynetdicom's would count every connection, and strangers could use it up.
    entity.maximum_associations = receive.max_associations * CONNECTIONS_PER_ASSOCIATION + 1
    return entity
