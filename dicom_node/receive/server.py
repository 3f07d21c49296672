"""pynetdicom's association server with what a node on a hospital network needs beside: bounds, one place for the end
of an association, its own spool, and several processes on one port.
"""

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_RELEASE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.receive.dimse import NodeDimse, Store
from dicom_node.receive.dul import LOOK_S, NodeDul
from dicom_node.receive.spool import Command, Spool
from dicom_node.sockets import BoundedSocket, limit

MAX_PDU_SLACK_BYTES = 1 << 20  # an A-ASSOCIATE-RQ with 128 contexts of 50 transfer syntaxes has about 200 kB
TLS_HANDSHAKE_S = 10.0
_LOGGER = logging.getLogger("dicom_node.server")


class NodeAssociation(Association):
    """An accepted association. ``on_end(self)`` is called once, whatever ended it."""

    on_end: Callable[["NodeAssociation"], None] | None = None

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        super().__init__(ae, mode)
        self._afterwards: list[Callable[[], None]] = []
        self._woken = threading.Event()
        self.dul: NodeDul = NodeDul(self)
        self.acse_timeout, self.network_timeout = ae.acse_timeout, ae.network_timeout  # again: they set the timers of the one before

    def afterwards(self, action: Callable[[], None]) -> None:
        """Run ``action``, which may send, in the association's own thread once the message that is being served is answered."""
        self._afterwards.append(action)

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def run_reactor(self) -> None:
        try:
            super().run_reactor()
        finally:
            if self.on_end is not None:
                self.on_end(self)

    def release_waits(self) -> bool:
        """Whether the peer has asked to release, and has no answer yet."""
        asked = self.dul.peek_next_pdu()
        return isinstance(asked, A_RELEASE) and asked.result is None

    def _handle_no_response(self) -> None:
        """No answer came to what we sent: the association is aborted, unless the peer asks to release. That is answered next."""
        if not self.release_waits():
            super()._handle_no_response()

    def wake(self) -> None:
        """There may be something to do for the association's thread."""
        self._woken.set()

    def kill(self) -> None:
        self._woken.set()
        super().kill()

    def _run_reactor(self) -> None:
        """pynetdicom's loop over what comes to the user of the upper layer, woken instead of looking every millisecond."""
        self._is_paused = False
        while not self._kill:
            self._is_paused = True  # while it is, another thread may use the association (`_reactor_checkpoint`)
            self._woken.wait(LOOK_S)
            self._woken.clear()
            self._reactor_checkpoint.wait()
            self._is_paused = False
            while (waiting := self.dimse.get_msg(block=False))[1] is not None:
                self._serve_request(waiting[1], waiting[0])
            if self.is_established and self.acse.is_release_requested():
                self.acse.send_release(is_response=True)
                self.is_released, self.is_established = True, False
                evt.trigger(self, evt.EVT_RELEASED, {})
                self.kill()
            elif self.acse.is_aborted():
                self.dul.receive_pdu(wait=False)
                self.is_aborted, self.is_established = True, False
                evt.trigger(self, evt.EVT_ABORTED, {})
                self.kill()
            elif not self.dul.is_alive():
                self.kill()
            elif self.dul.idle_timer_expired() and not self.dul.serving:
                _LOGGER.warning("an association is aborted: nothing came within receive.network_timeout_s")
                self.abort()
                self.kill()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """As pynetdicom's; then what was left for afterwards. No C-STORE comes here: see `messages`."""
        super()._serve_request(msg, context_id)
        while self._afterwards and self.is_established:
            self._is_paused = True  # as pynetdicom does around what it serves: the action may wait for an answer
            self._afterwards.pop(0)()
            self._is_paused = False


class NodeHandler(RequestHandler):
    """One connection: its association with our socket, our DIMSE provider and the server's handlers."""

    server: "NodeServer"

    def _create_association(self) -> NodeAssociation:
        server = self.server
        association = NodeAssociation(self.ae, "acceptor")
        association._server = server
        association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"  # pynetdicom finds its threads by name
        wrapped = BoundedSocket(association, client_socket=self.request)
        wrapped.max_pdu_bytes = self.ae.maximum_pdu_size + MAX_PDU_SLACK_BYTES
        association.set_socket(wrapped)
        association.dimse = NodeDimse(association, server.make_spool, server.store)
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


class NodeServer(ThreadedAssociationServer):
    """Accepts connections; ``max_connections`` bounds those that have not said who they are as well."""

    daemon_threads = True
    block_on_close = False  # a peer that says nothing must not hold up the shutdown
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
        make_spool: Callable[[Command], Spool],
        store: Store,
        on_end: Callable[[NodeAssociation], None],
        max_connections: int,
        reuse_port: bool,
    ) -> None:
        self.make_spool = make_spool
        self.store = store
        self.on_end = on_end
        self._max_connections = max_connections
        self._reuse_port = reuse_port
        super().__init__(ae, address, ae_title, contexts, ssl_context, evt_handlers, request_handler=NodeHandler)

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def _listening(self) -> socket.socket:
        return cast(socket.socket, self.socket)

    def server_bind(self) -> None:
        if self._reuse_port:
            self._listening().setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The TLS handshake is not made here: one slow peer would keep everybody else out."""
        connection, address = self._listening().accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Nagle costs a factor of 50 on C-STORE
        return connection, address

    def verify_request(self, _request: Any, _client_address: Any) -> bool:
        return len(self.active_associations) < self._max_connections

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        if self.ssl_context is not None:
            try:
                request.settimeout(TLS_HANDSHAKE_S)
                request = self.ssl_context.wrap_socket(request, server_side=True)
                request.settimeout(self.ae.network_timeout)
            except OSError as error:
                _LOGGER.warning("TLS handshake failed: %s", type(error).__name__)
                self.shutdown_request(request)
                return
        else:
            limit(request, self.ae.network_timeout)
        super().process_request_thread(request, client_address)

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        _LOGGER.exception("a connection could not be served")
