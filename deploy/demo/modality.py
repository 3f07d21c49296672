"""The modality of the demo: sends files over one association, each in the transfer syntax that it has."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pynetdicom.presentation import build_context

from core.errors import DeliveryError
from dicom_node.sockets import NodeEntity

AE_TITLE = "DEMOSCU"
MAXIMUM_PDU_BYTES = 131072
SUCCESS_OR_WARNING = (0x0000, 0xB000, 0xB006, 0xB007)  # PS3.4 Table B.2-1


@dataclass(frozen=True, slots=True)
class SentFiles:
    """How many instances and bytes were sent, and how long it took."""

    instances: int
    bytes: int
    seconds: float


def send_files(files: Sequence[Path], host: str, port: int, called_ae: str) -> SentFiles:
    """Send all ``files`` with C-STORE.

    Raises
    ------
    DeliveryError
        The association or an instance was refused.
    """
    pairs = dict.fromkeys(_class_and_syntax(path) for path in files)
    entity = NodeEntity(AE_TITLE)
    entity.maximum_pdu_size = MAXIMUM_PDU_BYTES
    entity.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in pairs]
    started = time.monotonic()
    association = entity.associate(host, port, ae_title=called_ae, max_pdu=MAXIMUM_PDU_BYTES)
    if not association.is_established:
        raise DeliveryError(f"{called_ae} at {host}:{port} refused the association", permanent=True, hint="see its log")
    size = 0
    try:
        for path in files:
            status = association.send_c_store(path)
            if "Status" not in status or status.Status not in SUCCESS_OR_WARNING:
                answer = f"0x{status.Status:04X}" if "Status" in status else "no answer"
                raise DeliveryError(f"{path.name} was refused by {called_ae}: {answer}", permanent=True, hint="see its log")
            size += path.stat().st_size
    finally:
        association.release()
    return SentFiles(len(files), size, time.monotonic() - started)


def _class_and_syntax(path: Path) -> tuple[str, str]:
    meta = pydicom.filereader.read_file_meta_info(path)
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
