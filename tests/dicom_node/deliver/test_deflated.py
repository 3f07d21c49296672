"""Segmentations and parametric maps are uncompressed, or deflated to destinations that ask for it and accept it, with the same content."""

import io
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from core.states import ResultKind
from dicom_node.deliver.transport_types import OutgoingObject, SendResult
from dicom_node.deliver.transports import open_transport
from dicom_node.sockets import NodeEntity
from dicom_node.statuses import SendOutcome
from tests.dicom_node.conftest import MakeSettings
from tests.support import analyses_with_images
from tests.support.dcmtk_storescp import storescp
from tests.support.external_programs import dciodvfy
from tests.support.orthanc import Orthanc
from tests.support.send_role import destination
from tests.support.storage_scu import dcmtk
from workers.encode.objects import by_kind
from workers.encode.sr import document

DEFLATED = str(DeflatedExplicitVRLittleEndian)


@pytest.fixture(scope="module")
def objects() -> dict[str, OutgoingObject]:
    """Result objects by kind. The report is never deflated."""
    chest = analyses_with_images.chest()
    kinds = (ResultKind.SEG, ResultKind.PARAMETRIC_MAP)
    made = [document.encode(chest), *(one for kind in kinds for one in by_kind.encode_kind(kind, chest))]
    return {one.kind.value: OutgoingObject(one.sop_class_uid, one.sop_instance_uid, one.content) for one in made}


def deliver(make_settings: MakeSettings, port: int, objects: Iterable[OutgoingObject], *, deflate: bool = True) -> list[SendResult]:
    """Send each object, and repeat where no answer came, as the sender does: pynetdicom loses some on a loaded machine."""
    settings = make_settings(destinations=[destination(port) | {"deflate": deflate}], delivery={"timeout_s": 30.0})
    results: dict[str, SendResult] = {}
    waiting = list(objects)
    for _ in range(3):
        if waiting:
            with open_transport(settings, settings.destinations[0], waiting) as transport:
                results |= {one.sop_instance_uid: transport.send(one) for one in waiting}
        waiting = [one for one in waiting if results[one.sop_instance_uid].outcome is SendOutcome.TRANSIENT]
    return list(results.values())


def unchanged(outgoing: OutgoingObject, theirs: bytes) -> None:
    ours, back = dcmread(io.BytesIO(outgoing.content)), dcmread(io.BytesIO(theirs))
    if back.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian and "PixelData" in back:
        back["PixelData"].VR = ours["PixelData"].VR  # implicit VR does not store it
    assert ours == back
    if "Rows" in ours:
        assert np.array_equal(ours.pixel_array, back.pixel_array)


def test_orthanc_accepts_deflated_objects_and_returns_them_unchanged(
    make_settings: MakeSettings, objects: dict[str, OutgoingObject], tmp_path: Path
) -> None:
    orthanc = Orthanc(tmp_path / "orthanc", "PACS").start()
    try:
        results = deliver(make_settings, orthanc.port, objects.values())
        assert [(one.status, one.reason) for one in results] == [(0, "stored")] * 3
        for kind, outgoing in objects.items():
            (held,) = orthanc.post("/tools/lookup", outgoing.sop_instance_uid.encode())
            syntax = orthanc.raw(f"/instances/{held['ID']}/metadata/TransferSyntax").decode()
            assert syntax == (str(ExplicitVRLittleEndian) if kind == "sr" else DEFLATED)
            unchanged(outgoing, orthanc.file(held["ID"]))
    finally:
        orthanc.stop()


def test_nothing_is_deflated_unless_the_destination_asks_for_it(
    make_settings: MakeSettings, objects: dict[str, OutgoingObject], tmp_path: Path
) -> None:
    with storescp(tmp_path / "in", "+xd") as port:
        results = deliver(make_settings, port, objects.values(), deflate=False)
    assert [(one.status, one.reason) for one in results] == [(0, "stored")] * 3
    assert {str(dcmread(path).file_meta.TransferSyntaxUID) for path in (tmp_path / "in").iterdir()} == {str(ExplicitVRLittleEndian)}


@pytest.mark.parametrize("options", [("+xd",), ("+xe",), ("+xi",)])
def test_dcmtk_gets_the_transfer_syntax_that_it_accepts(
    make_settings: MakeSettings, objects: dict[str, OutgoingObject], tmp_path: Path, options: tuple[str, ...]
) -> None:
    with storescp(tmp_path / "in", *options) as port:
        results = deliver(make_settings, port, objects.values())
    assert [(one.status, one.reason) for one in results] == [(0, "stored")] * 3
    stored = {str(dcmread(path).SOPInstanceUID): path for path in (tmp_path / "in").iterdir()}
    for kind, outgoing in objects.items():
        path = stored[outgoing.sop_instance_uid]
        syntax = str(dcmread(path).file_meta.TransferSyntaxUID)
        plain = str(ImplicitVRLittleEndian) if options == ("+xi",) else str(ExplicitVRLittleEndian)
        assert syntax == (DEFLATED if options == ("+xd",) and kind != "sr" else plain)
        unchanged(outgoing, path.read_bytes())
        if syntax == DEFLATED:  # Debian's dciodvfy cannot read it
            inflated = tmp_path / f"{kind}.dcm"
            subprocess.run([dcmtk("dcmconv"), "+te", str(path), str(inflated)], check=True)
            lines = dciodvfy(inflated)
            assert {"Segmentation", "ParametricMap"} & set(lines)
            assert [line for line in lines if line.startswith("Error")] == []


def test_a_peer_that_accepts_deflated_and_cannot_read_it_gets_it_uncompressed(
    make_settings: MakeSettings, objects: dict[str, OutgoingObject]
) -> None:
    came: list[tuple[str, int, Dataset]] = []

    def store(event: Any) -> int:
        syntax = str(event.context.transfer_syntax)
        came.append((syntax, len(event.request.DataSet.getvalue()), event.dataset))
        return 0xC000 if syntax == DEFLATED else 0x0000

    segmentation = objects["seg"]
    entity = NodeEntity("PACS")
    entity.add_supported_context(segmentation.sop_class_uid, [DEFLATED, str(ExplicitVRLittleEndian)])
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    try:
        (result,) = deliver(make_settings, int(server.server_address[1]), [segmentation])
    finally:
        server.shutdown()
    assert (result.outcome, result.status) == (SendOutcome.STORED, 0)
    (first, deflated_bytes, inflated), (second, bytes_as_is, as_is) = came
    assert (first, second) == (DEFLATED, str(ExplicitVRLittleEndian))
    assert deflated_bytes < bytes_as_is / 10
    assert inflated == as_is == dcmread(io.BytesIO(segmentation.content))
