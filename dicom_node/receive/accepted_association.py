"""An accepted association: pynetdicom's, with one call at its end, and woken by events instead of polling every millisecond."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.pdu_primitives import A_RELEASE

from core.policy.peer_certificate import PeerCertificate
from dicom_node.node_association import NodeAssociation
from dicom_node.receive.dul import POLL_INTERVAL_S, NodeDul

_LOGGER = logging.getLogger("dicom_node.server")


class AcceptedAssociation(NodeAssociation):
    """An association that a peer has requested.

    Attributes
    ----------
    on_end
        Called once with the association, however it ended.
    on_request
        Called when the peer has sent an association request of the right form.
    peer_certificate
        The peer's TLS certificate; None without TLS, and where it has presented none.
    """

    on_end: Callable[["AcceptedAssociation"], None] | None = None
    on_request: Callable[[], None] | None = None
    peer_certificate: PeerCertificate | None = None

    def __init__(self, ae: ApplicationEntity, mode: str) -> None:
        super().__init__(ae, mode)
        self._deferred: list[Callable[[], None]] = []
        self._woken = threading.Event()
        self.dul: NodeDul = NodeDul(self)
        # Set again: these properties set the timers of the upper layer, which was replaced the line before.
        self.acse_timeout, self.network_timeout = ae.acse_timeout, ae.network_timeout

    def run_after_response(self, action: Callable[[], None]) -> None:
        """Run ``action``, which may send, in the association's thread once the message that is being served is answered."""
        self._deferred.append(action)

    def _bind_defaults(self) -> None:
        for event in evt._INTERVENTION_EVENTS:
            self.bind(event, evt.get_default_handler(event))

    def run_reactor(self) -> None:
        """Serve the association until it ends, then call ``on_end``."""
        try:
            super().run_reactor()
        finally:
            if self.on_end is not None:
                self.on_end(self)

    def is_release_pending(self) -> bool:
        """Whether the peer has requested the release and has no answer yet."""
        primitive = self.dul.peek_next_pdu()
        return isinstance(primitive, A_RELEASE) and primitive.result is None

    def _handle_no_response(self) -> None:
        """Abort when a request of ours was not answered, unless the peer has requested the release: that is answered next."""
        if not self.is_release_pending():
            super()._handle_no_response()

    def wake(self) -> None:
        """Make the association's thread check for messages, a release or an abort."""
        self._woken.set()

    def kill(self) -> None:
        """End the association's thread, as pynetdicom does; here it may have to be woken first."""
        self._woken.set()
        super().kill()

    def _run_reactor(self) -> None:
        """Serve what comes to the user of the upper layer, as pynetdicom's loop of the same name."""
        self._is_paused = False
        while not self._kill:
            self._is_paused = True  # while it is set, another thread may use the association (`_reactor_checkpoint`)
            self._woken.wait(POLL_INTERVAL_S)
            self._woken.clear()
            self._reactor_checkpoint.wait()
            self._is_paused = False
            while (message := self.dimse.get_msg(block=False))[1] is not None:
                self._serve_request(message[1], message[0])
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
                _LOGGER.warning("association aborted: nothing was received within receive.network_timeout_s")
                self.abort()
                self.kill()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Serve one message, then run what was deferred until after its answer. C-STORE is served elsewhere: see `dimse.NodeDimse`."""
        super()._serve_request(msg, context_id)
        if threading.current_thread() is not self:  # an N-EVENT-REPORT: what was deferred follows the answer to another message
            return
        while self._deferred and self.is_established:
            self._is_paused = True  # as pynetdicom does around a handler: the action may wait for an answer of the peer
            self._deferred.pop(0)()
            self._is_paused = False
