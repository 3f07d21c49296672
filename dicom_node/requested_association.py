"""An association that the node requests, without two races between the threads of pynetdicom.

The reactor: pynetdicom's reactor thread sets ``_is_paused``, waits for ``_reactor_checkpoint``, and clears ``_is_paused``. A thread that
wants to send clears the checkpoint and waits until ``_is_paused`` is set. Between the reactor's last two steps it sees a reactor that seems
to be paused, sends its request, and the reactor takes the answer: the request then times out. On a loaded machine that is one request in
some hundred.

The report: pynetdicom serves each N-EVENT-REPORT in a thread of its own. If the association is released meanwhile, the answer is sent after
the A-RELEASE-RQ, which its upper layer does not allow (PS3.8, table 9-10: Evt9 in Sta7): its thread ends, and the release waits for
``acse_timeout``. On a loaded machine that is one release in some hundred that follows its request at once.
"""

import threading
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from dicom_node.node_association import NodeAssociation


class ReactorCheckpoint:
    """Takes the place of an association's ``_reactor_checkpoint`` event: `wait` returns and clears ``_is_paused`` in one step."""

    def __init__(self, association: Any) -> None:
        self._association = association
        self._condition = threading.Condition()
        self._open = True

    def is_set(self) -> bool:
        """Whether the reactor may pass."""
        return self._open

    def set(self) -> None:
        """Let the reactor pass."""
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def clear(self) -> None:
        """Stop the reactor at its next `wait`; if ``_is_paused`` is set after this call, it is stopped already."""
        with self._condition:
            self._open = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the reactor may pass, and mark it as running."""
        with self._condition:
            passed = self._condition.wait_for(lambda: self._open, timeout)
            if passed:
                self._association._is_paused = False
            return passed


class RequestedAssociation(NodeAssociation):
    """pynetdicom's association; it is released only between the answers to reports.

    pynetdicom makes the object, so that this class is given to it afterwards (`prepare`), before its threads start.
    """

    _reports: threading.Lock

    @classmethod
    def prepare(cls, association: Association) -> None:
        """Make ``association``, whose threads have not started, one of this class."""
        association.__class__ = cls
        association._reports = threading.Lock()  # type: ignore[attr-defined]
        association._reactor_checkpoint = ReactorCheckpoint(association)  # type: ignore[assignment]

    def release(self) -> None:
        """Release the association when the report that is being served, if any, is answered; one that comes later is ignored."""
        with self._reports:
            super().release()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        # Its thread serves nothing else. The reactor's thread must not wait for a release, which waits for the reactor.
        if isinstance(msg, N_EVENT_REPORT):
            with self._reports:
                super()._serve_request(msg, context_id)
        else:
            super()._serve_request(msg, context_id)
