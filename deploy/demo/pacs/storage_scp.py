"""A storage SCP as the PACS of the demo where Orthanc is not installed."""

from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event

from deploy.demo.pacs.interface import AE_TITLE
from dicom_node.contexts import VERIFICATION, storage_classes, transfer_syntaxes
from dicom_node.sockets import NodeEntity


class StorageScp:
    """Stores the instances that it receives as files. Answers C-ECHO and C-STORE, no queries."""

    name = "pynetdicom storage SCP"
    answers_queries = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._files: dict[str, Path] = {}
        self._server: Any = None

    def start(self) -> None:
        """Start to listen on a free port of 127.0.0.1."""
        self.folder.mkdir(parents=True, exist_ok=True)
        entity = NodeEntity(AE_TITLE)
        entity.add_supported_context(VERIFICATION)
        syntaxes = list(transfer_syntaxes())
        for uid in storage_classes():
            entity.add_supported_context(uid, syntaxes)
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = int(self._server.server_address[1])

    def fetch(self, sop_instance_uid: str) -> bytes | None:
        """Return the Part 10 file as it was received; None when there is no such instance."""
        path = self._files.get(sop_instance_uid)
        return path.read_bytes() if path is not None else None

    def stop(self) -> None:
        """Stop to listen."""
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: Event) -> int:
        path = self.folder / f"{len(self._files):05d}.dcm"
        path.write_bytes(event.encoded_dataset())
        self._files[str(event.dataset.SOPInstanceUID)] = path
        return 0x0000
