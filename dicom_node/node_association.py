"""What both ends of an association share: only its own thread marks it as paused.

pynetdicom's reactor, the association's own thread, sets ``_is_paused`` before it waits, and a thread that wants to send waits for that
mark. But each N-EVENT-REPORT is served in another thread, which sets the mark, too, and clears it at its end. If the reactor waits at that
moment, the thread that wants to send waits without end. Seen twice in some thousand releases on a loaded machine.
"""

import threading

from pynetdicom.association import Association


class NodeAssociation(Association):
    """pynetdicom's association, whose reactor alone changes ``_is_paused``."""

    _reactor_is_paused = False

    @property
    def _is_paused(self) -> bool:
        """Whether the reactor waits, or the association has ended."""
        return self._reactor_is_paused or (self._kill and not self.is_established)

    @_is_paused.setter
    def _is_paused(self, value: bool) -> None:
        if threading.current_thread() is self:
            self._reactor_is_paused = value
