"""pynetdicom's association server with a limit on connections, TLS handshakes in threads, and several processes on one port."""

import logging
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.receive.accepted_association import AcceptedAssociation
from dicom_node.receive.connections.connection_limits import ConnectionLimits
from dicom_node.receive.connections.peer_certificates import describe_failure, read_certificate
from dicom_node.receive.connections.proxy_protocol import ProxyHeaderError, read_client_address
from dicom_node.receive.connections.silent_connections import SilentConnections
from dicom_node.receive.dimse import NodeDimse, StoreHandler
from dicom_node.receive.spool import DataSetIdentity, SpoolFile
from dicom_node.sockets import AcceptedSocket, set_kernel_timeout

MAX_PDU_SLACK_BYTES = 1 << 20  # an A-ASSOCIATE-RQ with 128 contexts of 50 transfer syntaxes has about 200 kB
TLS_HANDSHAKE_TIMEOUT_S = 10.0
MOST_HEADERS_AWAITED = 256  # connections of load balancers whose sender is not known yet
REQUEST_TIMEOUT_S = 5.0  # a requestor sends its request as soon as it is connected (PS3.8 9.2, AE-2)
_LOGGER = logging.getLogger("dicom_node.server")


class NodeServer(ThreadedAssociationServer):
    """Accepts connections, each served in a thread of its own from its first byte on.

    Parameters
    ----------
    new_spool_file
        Makes the file for the data set of a C-STORE that begins.
    store
        Takes a complete data set, and returns the answer.
    on_end
        Called once at the end of each association.
    on_tls_failure
        Called with the peer's address and the reason when a TLS handshake fails.
    limits
        Limits open connections, those included that have not requested an association yet.
    reuse_port
        Whether other processes bind the same port (SO_REUSEPORT).
    proxies
        Networks of load balancers, whose connections begin with a header of the PROXY protocol.
    """

    daemon_threads = True
    block_on_close = False  # a peer that sends nothing must not delay the shutdown
    request_queue_size = 128

    def __init__(
        self,
        ae: ApplicationEntity,
        address: tuple[str, int],
        ae_title: str,
        contexts: list[Any],
        ssl_context: ssl.SSLContext | None = None,
        evt_handlers: list[Any] | None = None,
        *,
        new_spool_file: Callable[[DataSetIdentity], SpoolFile],
        store: StoreHandler,
        on_end: Callable[[AcceptedAssociation], None],
        on_tls_failure: Callable[[str, str], None],
        limits: ConnectionLimits,
        reuse_port: bool,
        proxies: Collection[IPv4Network | IPv6Network] = (),
    ) -> None:
        self.new_spool_file = new_spool_file
        self.store = store
        self.on_end = on_end
        self.on_tls_failure = on_tls_failure
        self.limits = limits
        self._reuse_port = reuse_port
        self._proxies = proxies
        self._headers_awaited = threading.Semaphore(MOST_HEADERS_AWAITED)
        self._stop_requested, self._stopped = threading.Event(), threading.Event()
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, request_handler=ConnectionHandler)

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def _listening_socket(self) -> socket.socket:
        return cast(socket.socket, self.socket)

    def server_bind(self) -> None:
        """Bind the port, shared with other processes where ``reuse_port`` says so."""
        if self._reuse_port:
            self._listening_socket().setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Accept connections until `shutdown`; give each to a thread when its first byte has arrived."""
        self._stopped.clear()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self, selectors.EVENT_READ)
                silent = SilentConnections(selector, lambda: self.request_timeout_s, self._close_silent)
                while not self._stop_requested.is_set():
                    ready = selector.select(poll_interval)
                    for key, _ in ready:
                        self._serve(key, silent)
                    silent.close_expired()
                    self.service_actions()
                silent.close_all()
        finally:
            self._stopped.set()

    def _serve(self, key: selectors.SelectorKey, silent: SilentConnections) -> None:
        """Accept a new connection, or begin with one that was silent until now."""
        if key.fileobj is not self:
            begun = silent.take(key)
            if begun is not None:
                self._begin(*begun)
            return
        try:
            request, address = self.get_request()
        except OSError:  # it was closed before it was accepted
            return
        if self.verify_request(request, address):
            silent.add(request, address)
        else:
            self.shutdown_request(request)

    def _begin(self, request: socket.socket, address: Any) -> None:
        """Give a connection to a thread. Where none can be started, this connection is closed and others are still accepted."""
        try:
            self.process_request(request, address)
        except Exception:
            self.handle_error(request, address)
            self._close_silent(request, address)

    def _close_silent(self, request: socket.socket, address: Any) -> None:
        if self._is_proxy(str(address[0])):
            self._headers_awaited.release()
        self.shutdown_request(request)

    def shutdown(self) -> None:
        """End `serve_forever`, and close the listening socket."""
        self._stop_requested.set()
        self._stopped.wait()
        self.server_close()
        self.ae._servers.remove(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection. The TLS handshake follows in the connection's own thread: one slow peer must not block the others."""
        connection, address = self._listening_socket().accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle's algorithm costs a factor of 50 on C-STORE
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether one more connection may be open, from this address. That of a load balancer is asked for once its header was read."""
        if self._is_proxy(str(client_address[0])):
            return self._headers_awaited.acquire(blocking=False)
        return self._admit(request, client_address)

    def _is_proxy(self, address: str) -> bool:
        if not self._proxies:
            return False
        peer = ip_address(address.partition("%")[0])
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._proxies)

    def _admit(self, request: Any, client_address: Any) -> bool:
        admitted = self.limits.admit(request, str(client_address[0]))
        if not admitted:
            _LOGGER.warning("a connection was closed: too many are open from its address, or in all")
        return admitted

    def _read_proxy_header(self, request: Any) -> tuple[str, int] | None:
        """Return the address of the sender; None where the connection of a load balancer carries none and is to be closed."""
        try:
            return read_client_address(request)
        except ProxyHeaderError as error:
            _LOGGER.warning("a connection from receive.proxies has no header of the PROXY protocol: %s", error)
        except OSError:  # it broke
            pass
        finally:
            self._headers_awaited.release()
        return None

    @property
    def request_timeout_s(self) -> float:
        """The longest wait for an association request."""
        return min(REQUEST_TIMEOUT_S, self.ae.acse_timeout or REQUEST_TIMEOUT_S)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection in its own thread: header of a load balancer, TLS handshake, time-outs, then the association."""
        if self._is_proxy(str(client_address[0])):
            client_address = self._read_proxy_header(request)
            if client_address is None or not self._admit(request, client_address):
                self.shutdown_request(request)
                return
            request.settimeout(None)
        if self.ssl_context is not None:
            try:
                request.settimeout(TLS_HANDSHAKE_TIMEOUT_S)
                if not request.recv(1, socket.MSG_PEEK):  # a check of the port: closed without a byte
                    self.shutdown_request(request)
                    return
                plain, request = request, self.ssl_context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                self.limits.replace(plain, request)
                request.do_handshake()
                request.settimeout(self.request_timeout_s)
            except OSError as error:
                self.on_tls_failure(str(client_address[0]), describe_failure(error))
                self.shutdown_request(request)
                return
        else:
            if _begins_tls(request):
                self.on_tls_failure(str(client_address[0]), "the peer speaks TLS, and [node.tls] is not set")
                self.shutdown_request(request)
                return
            set_kernel_timeout(request, self.request_timeout_s)
        super().process_request_thread(request, client_address)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Log an error of one connection; the server goes on."""
        _LOGGER.exception("a connection could not be served")


def _begins_tls(connection: socket.socket) -> bool:
    """Whether the first byte that has arrived is that of a TLS handshake (RFC 8446 5.1), which no PDU of DICOM begins with."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"\x16"
    except OSError:  # nothing has arrived, or the connection broke: the association's threads notice it
        return False


class ConnectionHandler(RequestHandler):
    """Builds the association of one connection from the node's classes: socket, upper layer, DIMSE provider and event handlers."""

    server: NodeServer

    def _create_association(self) -> AcceptedAssociation:
        server = self.server
        association = AcceptedAssociation(self.ae, "acceptor")
        association._server = server
        association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"  # pynetdicom finds its threads by name
        wrapped = AcceptedSocket(association, client_socket=self.request)
        wrapped.max_pdu_bytes = self.ae.maximum_pdu_size + MAX_PDU_SLACK_BYTES
        association.set_socket(wrapped)
        association.dul.artim_timer.timeout = server.request_timeout_s
        association.on_request = lambda: self._extend_timeouts(association)
        association.peer_certificate = read_certificate(self.request)
        association.dimse = wrapped.waiting_work = NodeDimse(association, server.new_spool_file, server.store)
        association.on_end = server.on_end
        association.acceptor.maximum_length = self.ae.maximum_pdu_size
        association.acceptor.ae_title = server.ae_title
        association.acceptor.address_info = self.local
        association.acceptor.implementation_class_uid = self.ae.implementation_class_uid
        association.acceptor.implementation_version_name = self.ae.implementation_version_name
        association.acceptor.supported_contexts = list(server.contexts)
        association.requestor.address_info = self.remote
        for event in server.get_events():
            bound: Any = server.get_handlers(event)
            for function, arguments in [bound] if event.is_intervention else bound:
                association.bind(event, function, arguments)
        return association

    def _extend_timeouts(self, association: AcceptedAssociation) -> None:
        """The peer has requested an association: from now on the time-outs of the settings hold, and its connection keeps its place."""
        self.server.limits.mark_requested(self.request)
        association.dul.artim_timer.timeout = self.ae.acse_timeout
        if self.server.ssl_context is None:
            set_kernel_timeout(self.request, self.ae.network_timeout)
        else:
            self.request.settimeout(self.ae.network_timeout)
