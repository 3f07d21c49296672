"""One listener: the storage and verification SCP of one process, with its handlers, leases and back-pressure."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

import structlog
from pydicom.uid import UID
from pynetdicom import AE, build_context

from core.errors import ConfigurationError, StorageError
from core.settings.settings import Settings
from core.tls import server_context
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from db.blobs.store import Blobs
from db.engine import Database
from db.roles.process_name import process_name
from db.roles.supervised_loop import SupervisedLoop
from dicom_node import contexts
from dicom_node.receive.back_pressure import BackPressure
from dicom_node.receive.connections.connection_limits import ConnectionLimits
from dicom_node.receive.handlers import AssociationHandlers
from dicom_node.receive.leases import AssociationLeases
from dicom_node.receive.receive_counts import ReceiveCounts
from dicom_node.receive.server import NodeServer
from dicom_node.sockets import MAX_PDU_BYTES

# Connections that have not requested an association yet must not prevent those of configured sources.
CONNECTIONS_PER_ASSOCIATION = 4
SPARE_PER_SOURCE = 8  # connections from one address above the limit on associations, so that these are rejected with a reason


class Listener:
    """Accepts associations from the moment it is built until it is drained.

    Parameters
    ----------
    reuse_port
        Whether other processes bind the same port (SO_REUSEPORT).

    Raises
    ------
    ConfigurationError
        The address cannot be bound, or the TLS files cannot be used.
    """

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, *, reuse_port: bool) -> None:
        self._log = structlog.get_logger()
        self._settings = settings
        self._leases = AssociationLeases(database, listener=process_name(), lease_s=settings.receive.association_lease_s)
        self._counts = ReceiveCounts(database)
        self._back_pressure = BackPressure(settings, database, blobs)
        self._handlers = AssociationHandlers(settings, database, blobs, self._leases, self._back_pressure, self._counts)
        entity = _application_entity(settings)
        self._server: NodeServer = self._bind(entity, reuse_port)
        entity._servers.append(self._server)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="listen", daemon=True)
        self._thread.start()
        self._back_pressure.start()
        self._stop_counting = threading.Event()
        SupervisedLoop("receive-counts", self._counts.write, self._stop_counting).start()
        self._entity = entity
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
                self._handlers.event_handlers(),
                new_spool_file=self._handlers.new_spool_file,
                store=self._handlers.store,
                on_end=self._handlers.end_association,
                on_tls_failure=self._handlers.refuse_handshake,
                limits=ConnectionLimits(*_connection_limits(self._settings)),
                proxies=self._settings.receive.proxies,
                reuse_port=reuse_port,
            )
        except OSError as error:
            self._leases.stop(1.0)
            message = f"node.host {node.host} port {node.port} cannot be listened on: {error.strerror or error}"
            raise ConfigurationError(message, hint="another program uses the port, or the address is not one of this machine") from error

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.drain(0.0)

    @property
    def pause_reason(self) -> str:
        """Why nothing is accepted now; "" while instances are accepted."""
        return self._back_pressure.pause_reason

    def apply(self, settings: Settings) -> None:
        """Use the sources, destinations and limits of these settings from now on. The port and open associations stay as they are."""
        self._settings = settings
        self._handlers.apply(settings)
        self._back_pressure.apply(settings)
        self._server.limits.apply(*_connection_limits(settings))
        self._entity.maximum_associations = _pynetdicom_maximum(settings)

    def details(self) -> dict[str, str]:
        """Return what the heartbeat says about this process."""
        node = self._settings.node
        return {
            "ae_title": node.ae_title,
            "host": node.host,
            "port": str(self.port),
            "associations": str(self._leases.count()),
            "received": str(self._handlers.stored),
            "processes": str(node.processes),
        }

    def drain(self, timeout_s: float) -> None:
        """Accept no further association, let those in progress finish within ``timeout_s``, then abort them. May be called again."""
        if self._handlers.draining:
            return
        self._handlers.draining = True
        self._server.shutdown()
        self._thread.join(5.0)
        if not self._leases.wait_until_none(timeout_s):
            self._log.warning("associations_aborted", reason="shutdown", count=self._leases.count())
        for association in self._server.active_associations:
            association.abort()
        self._leases.wait_until_none(2.0)
        self._leases.stop(5.0)
        self._handlers.close()
        self._back_pressure.stop()
        self._stop_counting.set()
        with suppress(StorageError):  # only counters are lost
            self._counts.write()
        self._log.info("drained", pid=os.getpid())


def _application_entity(settings: Settings) -> AE:
    entity = AE(settings.node.ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    receive = settings.receive
    entity.maximum_pdu_size = MAX_PDU_BYTES
    entity.acse_timeout = receive.acse_timeout_s
    entity.dimse_timeout = receive.dimse_timeout_s
    entity.network_timeout = receive.network_timeout_s
    entity.maximum_associations = _pynetdicom_maximum(settings)
    return entity


def _pynetdicom_maximum(settings: Settings) -> int:
    """pynetdicom's limit counts every connection, also those that are being closed, and must never be reached.

    The limit of the settings counts admitted associations (`handlers`), and `ConnectionLimits` counts connections.
    """
    return 2 * settings.receive.max_associations * CONNECTIONS_PER_ASSOCIATION


def _connection_limits(settings: Settings) -> tuple[int, int, Callable[[str], bool]]:
    associations, sources = settings.receive.max_associations, settings.sources

    @lru_cache(1024)
    def is_source(address: str) -> bool:
        return any(source.admits(address.partition("%")[0]) for source in sources)

    return associations * CONNECTIONS_PER_ASSOCIATION, associations + SPARE_PER_SOURCE, is_source
