"""A destination with moods: it stores, refuses, hangs, answers late, breaks off, goes away, and forgets what it has not committed to."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pynetdicom import build_role, evt

from dicom_node.commitment.datasets import NO_SUCH_INSTANCE, PUSH_MODEL, PUSH_MODEL_INSTANCE, encode_report
from dicom_node.contexts import VERIFICATION
from dicom_node.sockets import NodeEntity
from tests.support.series import SR

OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000
BAD_MOODS = ("out of resources", "refuses", "hangs", "slow", "aborts before", "aborts behind", "rejects")


class Peer:
    """One PACS. ``kept``: SOP Instance UID -> hash of its data set; ``seen``: every hash that ever came under a UID."""

    def __init__(self, title: str, *, hang_s: float) -> None:
        self.title, self.port, self.node_port = title, 0, 0
        self.mood = "well"
        self.kept: dict[str, str] = {}
        self.seen: dict[str, set[str]] = {}
        self.forgotten = self.stores = 0
        self._committed: set[str] = set()
        self._hang_s = hang_s
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> None:
        entity = NodeEntity(self.title)
        for sop_class in (VERIFICATION, SR, PUSH_MODEL):
            entity.add_supported_context(sop_class)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._asked),
            (evt.EVT_C_ECHO, lambda _event: 0x0000),
        ]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        """Gone at once: whoever is connected is cut off."""
        server, self._server = self._server, None
        if server is not None:
            for association in server.active_associations:
                with suppress(Exception):
                    association.abort()
            server.shutdown()

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def forget_half(self) -> int:
        """As after a restored backup: half of what it stored and did not commit to is gone. How many."""
        with self._lock:
            loose = sorted(set(self.kept) - self._committed)
            for uid in loose[::2]:
                del self.kept[uid]
            self.forgotten += len(loose[::2])
            return len(loose[::2])

    def _requested(self, event: Any) -> None:
        if self.mood == "rejects":
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # transient, by the presentation layer: local limit exceeded
            event.assoc.kill()

    def _store(self, event: Any) -> int:
        mood = self.mood
        self.stores += 1
        if mood == "out of resources":
            return OUT_OF_RESOURCES
        if mood == "refuses":
            return CANNOT_UNDERSTAND
        if mood == "aborts before":
            event.assoc.abort()
            return OUT_OF_RESOURCES
        uid = str(event.request.AffectedSOPInstanceUID)
        digest = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        with self._lock:
            self.kept[uid] = digest
            self.seen.setdefault(uid, set()).add(digest)
        if mood == "aborts behind":  # it has the object, and nobody is told
            event.assoc.abort()
        elif mood in ("hangs", "slow"):
            time.sleep(self._hang_s if mood == "hangs" else self._hang_s / 5)
        return 0x0000

    def _asked(self, event: Any) -> tuple[int, None]:
        information = event.action_information
        items = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in information.ReferencedSOPSequence]
        threading.Thread(target=self._answer, args=(str(information.TransactionUID), items), daemon=True).start()
        return 0x0000, None

    def _answer(self, transaction_uid: str, items: list[tuple[str, str]]) -> None:
        """On an association of its own; where the node is not there for it, it is asked again."""
        with self._lock:
            held = [item for item in items if item[1] in self.kept]
            self._committed |= {uid for _, uid in held}
        lost = [(*item, NO_SUCH_INSTANCE) for item in items if item not in held]
        entity = NodeEntity(self.title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 10
        entity.add_requested_context(PUSH_MODEL)
        association = entity.associate("127.0.0.1", self.node_port, ae_title="DICOMNODE", ext_neg=[build_role(PUSH_MODEL, scp_role=True)])
        if association.is_established:
            information, event_type = encode_report(transaction_uid, held, lost)
            with suppress(RuntimeError, ValueError, OSError):  # the node was killed meanwhile
                association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            if association.is_established:
                association.release()
