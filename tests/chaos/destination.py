"""A destination with faults: it refuses, hangs, answers late, aborts, is unreachable, or loses what it has not committed to."""

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
FAULTS = ("out of resources", "refuses", "hangs", "slow", "aborts before storing", "aborts after storing", "rejects")


class FaultyDestination:
    """One PACS.

    Attributes
    ----------
    fault
        One of `FAULTS`, or "" for none.
    kept
        SOP Instance UID -> hash of the data set that it stores.
    node_address
        Host and port of the node, for storage commitment reports.
    seen
        SOP Instance UID -> hashes of all data sets that it has ever received under it.
    """

    def __init__(self, title: str, *, hang_s: float, host: str = "127.0.0.1") -> None:
        self.title, self.host, self.port = title, host, 0
        self.node_address = ("", 0)
        self.fault = ""
        self.kept: dict[str, str] = {}
        self.seen: dict[str, set[str]] = {}
        self.forgotten = self.stores = 0
        self._committed: set[str] = set()
        self._hang_s = hang_s
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> None:
        """Start to listen."""
        entity = NodeEntity(self.title)
        for sop_class in (VERIFICATION, SR, PUSH_MODEL):
            entity.add_supported_context(sop_class)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_N_ACTION, self._commitment_requested),
            (evt.EVT_C_ECHO, lambda _event: 0x0000),
        ]
        self._server = entity.start_server((self.host, self.port), block=False, evt_handlers=handlers)
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop to listen, and abort every association."""
        server, self._server = self._server, None
        if server is not None:
            for association in server.active_associations:
                with suppress(Exception):
                    association.abort()
            server.shutdown()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Close the port within the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def forget_half(self) -> int:
        """Lose half of what it stored and did not commit to, as after the restore of a backup; return how many."""
        with self._lock:
            uncommitted = sorted(set(self.kept) - self._committed)
            for uid in uncommitted[::2]:
                del self.kept[uid]
            self.forgotten += len(uncommitted[::2])
            return len(uncommitted[::2])

    def _requested(self, event: Any) -> None:
        if self.fault == "rejects":
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # transient, by the presentation layer: local limit exceeded
            event.assoc.kill()

    def _store(self, event: Any) -> int:
        fault = self.fault
        self.stores += 1
        if fault == "out of resources":
            return OUT_OF_RESOURCES
        if fault == "refuses":
            return CANNOT_UNDERSTAND
        if fault == "aborts before storing":
            event.assoc.abort()
            return OUT_OF_RESOURCES
        uid = str(event.request.AffectedSOPInstanceUID)
        digest = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        with self._lock:
            self.kept[uid] = digest
            self.seen.setdefault(uid, set()).add(digest)
        if fault == "aborts after storing":  # it has the object, and the node gets no answer
            event.assoc.abort()
        elif fault in ("hangs", "slow"):
            time.sleep(self._hang_s if fault == "hangs" else self._hang_s / 5)
        return 0x0000

    def _commitment_requested(self, event: Any) -> tuple[int, None]:
        information = event.action_information
        items = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in information.ReferencedSOPSequence]
        threading.Thread(target=self._report_commitment, args=(str(information.TransactionUID), items), daemon=True).start()
        return 0x0000, None

    def _report_commitment(self, transaction_uid: str, items: list[tuple[str, str]]) -> None:
        """Send the storage commitment report on a new association. If the node is unreachable, it will request it again."""
        with self._lock:
            stored = [item for item in items if item[1] in self.kept]
            self._committed |= {uid for _, uid in stored}
        missing = [(*item, NO_SUCH_INSTANCE) for item in items if item not in stored]
        entity = NodeEntity(self.title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = 10
        entity.add_requested_context(PUSH_MODEL)
        association = entity.associate(*self.node_address, ae_title="DICOMNODE", ext_neg=[build_role(PUSH_MODEL, scp_role=True)])
        if association.is_established:
            information, event_type = encode_report(transaction_uid, stored, missing)
            with suppress(RuntimeError, ValueError, OSError):  # the node may have been killed
                association.send_n_event_report(information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
            if association.is_established:
                association.release()
