"""A storage SCU that sends exactly the given bytes and returns exactly the response."""

import io
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from db.blobs.store import Blobs
from dicom_node.sockets import NodeEntity
from imaging.wire.part10 import data_set_offset, encode_head
from tests.support.external_programs import tool
from tests.support.series import encoded


def dcmtk(name: str) -> str:
    """Return the path of a program of DCMTK, not that of pynetdicom's program of the same name in the virtual environment."""
    found = shutil.which(name, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    return found if found is not None else tool(f"{name} of DCMTK", "dcmtk")


def entity(calling: str, contexts: dict[str, list[str]], timeout_s: float = 600.0) -> NodeEntity:
    """Return an application entity with these presentation contexts. The limit only ends a test that fails."""
    ae = NodeEntity(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = timeout_s
    for abstract, syntaxes in contexts.items():
        for syntax in syntaxes:
            ae.add_requested_context(abstract, syntax)
    return ae


@contextmanager
def associated(
    port: int, contexts: dict[str, list[str]], *, calling: str = "PACS", called: str = "DICOMNODE", host: str = "127.0.0.1",
    max_pdu: int = 16382,
) -> Iterator[Association]:  # fmt: skip
    """Yield an established association, which is released at the end."""
    association = entity(calling, contexts).associate(host, port, ae_title=called, max_pdu=max_pdu)
    assert association.is_established, "the listener did not accept the association"
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store_bytes(
    association: Association, raw: bytes | None, *, sop_class: str, sop_instance: str, syntax: str = str(ExplicitVRLittleEndian)
) -> Dataset:
    """Send C-STORE with an encoded data set; return status and error comment of the response, nothing where the association ends meanwhile.

    Raises
    ------
    RuntimeError
        The association has ended before.
    """
    request: Any = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = UID(sop_class)
    request.AffectedSOPInstanceUID = UID(sop_instance)
    request.Priority = 2
    if raw is not None:
        request.DataSet = io.BytesIO(raw)
    wanted = [
        context
        for context in association.accepted_contexts
        if context.abstract_syntax == sop_class and str(context.transfer_syntax[0]) == syntax
    ] or association.accepted_contexts
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.0005)
    if not association.is_established:  # nothing would come to its queue any more
        association._reactor_checkpoint.set()
        raise RuntimeError("the association has ended")
    association.dimse.send_msg(request, wanted[0].context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    answer = Dataset()
    if response is not None:
        answer.Status = response.Status
        answer.ErrorComment = response.ErrorComment or ""
    return answer


def data_set_bytes(dataset: FileDataset) -> bytes:
    """Return the encoded data set without the head of the Part 10 file."""
    content = encoded(dataset)
    return content[data_set_offset(content) :]


def send(port: int, *datasets: FileDataset, calling: str = "PACS") -> list[int]:
    """Send data sets over one association; return the status of each C-STORE."""
    contexts = {str(ds.SOPClassUID): [str(ExplicitVRLittleEndian)] for ds in datasets}
    statuses = []
    with associated(port, contexts, calling=calling) as association:
        for dataset in datasets:
            answer = store_bytes(
                association, data_set_bytes(dataset), sop_class=str(dataset.SOPClassUID), sop_instance=str(dataset.SOPInstanceUID)
            )
            statuses.append(int(answer.Status))
    return statuses


def send_file(port: int, path: Path, blobs: Blobs | None = None) -> int | str:
    """Send the data set of a file unchanged; return the status, or "context" when its presentation context is refused.

    With ``blobs`` of the node, check that an accepted data set is stored there.
    """
    content = path.read_bytes()
    dataset = dcmread(path, force=True, stop_before_pixels=True)
    meta = dataset.file_meta
    sop_class = str(meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID", ""))
    sop_instance = str(meta.get("MediaStorageSOPInstanceUID") or dataset.get("SOPInstanceUID", "1.2.3"))
    syntax = str(meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian)
    offset = 0
    if content[128:132] == b"DICM":
        offset = 144 + int(meta.FileMetaInformationGroupLength) if "FileMetaInformationGroupLength" in meta else 132
    association = entity("PACS", {sop_class: [syntax]}).associate("127.0.0.1", port, ae_title="DICOMNODE")
    if not association.is_established:
        return "context"
    answer = store_bytes(association, content[offset:], sop_class=sop_class, sop_instance=sop_instance, syntax=syntax)
    association.release()
    assert answer.get("Status") is not None, f"no answer to {path.name}"
    if answer.Status == 0x0000 and blobs is not None:  # stored unchanged
        kept = encode_head(sop_class_uid=sop_class, sop_instance_uid=sop_instance, transfer_syntax_uid=syntax) + content[offset:]
        assert blobs.path(sha256(kept).hexdigest()).is_file()
    return int(answer.Status)
