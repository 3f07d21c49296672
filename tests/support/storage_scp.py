"""A storage SCP that stores what it receives and answers with the statuses that a test sets."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt

from dicom_node.sockets import NodeEntity
from tests.support.series import SR

VERIFICATION = "1.2.840.10008.1.1"


@dataclass
class Pacs:
    """A storage SCP.

    Attributes
    ----------
    statuses
        Answers in order; the last one is repeated.
    of_class
        Answers for objects of a SOP class, in order; they come before ``statuses``.
    hang_s
        Seconds before each answer.
    answers_after
        An event that each answer waits for.
    aborts_at
        The SOP Instance UID at which it aborts the association.
    """

    statuses: list[int] = field(default_factory=lambda: [0x0000])
    of_class: dict[str, list[int]] = field(default_factory=dict)
    hang_s: float = 0.0
    answers_after: threading.Event | None = None
    stored: dict[str, Dataset] = field(default_factory=dict)
    calls: int = 0
    associations: int = 0
    comment: str = ""
    aborts_at: str = ""
    port: int = 0

    def store(self, event: Any) -> Dataset:
        """Answer a C-STORE."""
        self.calls += 1
        if str(event.request.AffectedSOPInstanceUID) == self.aborts_at:
            event.assoc.abort()
            return Dataset()
        time.sleep(self.hang_s)
        if self.answers_after is not None:
            self.answers_after.wait(600)
        own = self.of_class.get(str(event.request.AffectedSOPClassUID))
        status = own.pop(0) if own else self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        answer = Dataset()
        answer.Status = status
        if self.comment:
            answer.ErrorComment = self.comment
        if status == 0x0000 or status & 0xF000 == 0xB000:
            self.stored[str(event.request.AffectedSOPInstanceUID)] = event.dataset
        return answer

    def accepted(self, _event: Any) -> None:
        """Count an accepted association."""
        self.associations += 1


@contextmanager
def running(
    pacs: Pacs, *, port: int = 0, classes: Sequence[str] = (SR, VERIFICATION), title: str = "PACS", strict: bool = False
) -> Iterator[Pacs]:
    """Run the SCP on a free port. ``strict``: it rejects every association (calling AE title not recognised)."""
    ae = NodeEntity(title)
    for sop_class in classes:
        ae.add_supported_context(sop_class)
    if strict:
        ae.require_calling_aet = ["NOBODY"]
    handlers: list[Any] = [(evt.EVT_C_STORE, pacs.store), (evt.EVT_ACCEPTED, pacs.accepted), (evt.EVT_C_ECHO, lambda _event: 0x0000)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    pacs.port = int(server.server_address[1])
    try:
        yield pacs
    finally:
        server.shutdown()
