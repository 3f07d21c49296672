"""The storage SCP over real sockets: what is stored, what is refused, and that the listener goes on."""

import shutil
import socket
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydicom.dataset import Dataset, FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from structlog.testing import capture_logs

from core.logs import fingerprint
from core.settings.settings import Settings
from db import audit
from db.blobs.store import Blobs
from db.listings.quarantine import list_quarantined
from dicom_node import contexts
from imaging.wire.part10 import data_set_offset, encode_head
from tests.dicom_node.conftest import MakeSettings, Running
from tests.fuzz.costly_datasets import costly_datasets
from tests.support.records import rows
from tests.support.send_role import wait_for
from tests.support.series import CT, DERMOSCOPY, ROOT, encoded, image
from tests.support.storage_scu import associated, data_set_bytes, dcmtk, entity, send, store_bytes

EXPLICIT = str(ExplicitVRLittleEndian)


def test_echo_by_dcmtk(node: Running) -> None:
    command = [dcmtk("echoscu"), "-aet", "PACS", "-aec", "DICOMNODE", "127.0.0.1", str(node.port)]
    subprocess.run(command, check=True, timeout=600)


def test_store_by_dcmtk_keeps_the_data_set(node: Running, tmp_path: Path) -> None:
    file = tmp_path / "one.dcm"
    file.write_bytes(encoded(image(side=64)))
    command = [dcmtk("storescu"), "-aet", "PACS", "-aec", "DICOMNODE", "127.0.0.1", str(node.port), str(file)]
    subprocess.run(command, check=True, timeout=600)
    ((sha256,),) = rows(node.database, "SELECT sha256 FROM instances")
    kept = node.blobs.read(str(sha256))
    assert kept[data_set_offset(kept) :] == data_set_bytes(image(side=64))


def encoded_as(dataset: FileDataset, syntax: str) -> bytes:
    """The data set in this transfer syntax; pixel data of encapsulated syntaxes are arbitrary bytes, which are not decoded here."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    plain = Dataset({element.tag: element for element in dataset if element.keyword != "PixelData"})
    plain.add_new("PixelData", "OW", dataset.PixelData)
    write_dataset(buffer, plain)
    raw = buffer.getvalue()
    if syntax != DeflatedExplicitVRLittleEndian:
        return raw
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = deflate.compress(raw) + deflate.flush()
    return packed + b"\0" * (len(packed) % 2)


def test_every_transfer_syntax_is_stored_bit_for_bit(node: Running) -> None:
    for number, syntax in enumerate(contexts.transfer_syntaxes(), start=1):
        _check_syntax(node, image(number=number), syntax)
    assert rows(node.database, "SELECT count(*) FROM instances") == [(len(contexts.transfer_syntaxes()),)]


def _check_syntax(node: Running, dataset: FileDataset, syntax: str) -> None:
    raw = encoded_as(dataset, syntax)
    with associated(node.port, {CT: [syntax]}) as association:
        answer = store_bytes(association, raw, sop_class=CT, sop_instance=dataset.SOPInstanceUID, syntax=syntax)
    assert answer.Status == 0x0000
    ((sha256,),) = rows(node.database, f"SELECT sha256 FROM instances WHERE transfer_syntax_uid = '{syntax}'")
    expected = encode_head(sop_class_uid=CT, sop_instance_uid=dataset.SOPInstanceUID, transfer_syntax_uid=syntax)
    assert node.blobs.read(str(sha256)) == expected + raw


def test_a_large_instance_is_stored(node: Running) -> None:
    dataset = image(side=1600)  # 5 MB
    assert send(node.port, dataset) == [0x0000]
    ((sha256,),) = rows(node.database, "SELECT sha256 FROM instances")
    kept = node.blobs.read(str(sha256))
    assert kept[data_set_offset(kept) :] == data_set_bytes(dataset)
    assert not list(node.blobs.tmp_dir.iterdir())


def test_each_dermoscopy_image_is_a_unit(node: Running) -> None:
    assert send(node.port, image(sop_class=DERMOSCOPY, Modality="DMS"), image(number=2, sop_class=DERMOSCOPY, Modality="DMS")) == [0, 0]
    assert rows(node.database, "SELECT kind, count(*) FROM units GROUP BY kind") == [("image", 2)]


def test_requestors_first_transfer_syntax_is_accepted(node: Running) -> None:
    ae = entity("PACS", {})
    ae.add_requested_context(CT, ["1.2.840.10008.1.2.4.70", EXPLICIT])
    association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
    assert [str(context.transfer_syntax[0]) for context in association.accepted_contexts] == ["1.2.840.10008.1.2.4.70"]
    association.release()


def test_the_context_of_an_unknown_sop_class_is_rejected(node: Running) -> None:
    private, jpip = "1.2.826.0.1.3680043.10.543.9.9", "1.2.840.10008.1.2.4.94"
    ae = entity("PACS", {private: [EXPLICIT], CT: [jpip, EXPLICIT]})
    association = ae.associate("127.0.0.1", node.port, ae_title="DICOMNODE")
    refused = {str(context.abstract_syntax): context.result for context in association.rejected_contexts}
    assert refused[private] == 3  # abstract syntax not supported
    assert refused[CT] == 4  # transfer syntaxes not supported
    assert [str(context.abstract_syntax) for context in association.accepted_contexts] == [CT]
    association.release()


@pytest.mark.parametrize(
    ("calling", "called", "expected", "hint"),
    [
        ("STRANGER", "DICOMNODE", (1, 1, 3), "add a [[sources]] table"),
        ("PACS", "OTHER", (1, 1, 7), "call the node by node.ae_title"),
        ("FAR", "DICOMNODE", (1, 1, 3), "correct host in its [[sources]] table"),
    ],
)
def test_rejections_carry_their_reason_and_are_audited(
    start: Callable[[Settings], Running], make_settings: MakeSettings, calling: str, called: str, expected: tuple[int, int, int], hint: str
) -> None:
    sources = [{"ae_title": "PACS", "host": "127.0.0.1"}, {"ae_title": "FAR", "host": "10.0.0.0/8"}]
    node = start(make_settings(sources=sources))
    with capture_logs() as logged:
        for _ in range(2):
            association = entity(calling, {CT: [EXPLICIT]}).associate("127.0.0.1", node.port, ae_title=called)
            assert association.is_rejected
            answer = association.acceptor.primitive
            assert answer is not None
            assert (answer.result, answer.result_source, answer.diagnostic) == expected
    entry = next(entry for entry in logged if entry["event"] == "association_rejected")
    assert hint in entry["hint"]
    assert entry.get("expected") == ("DICOMNODE" if called == "OTHER" else None)

    def refused() -> list[dict[str, Any]]:
        return [event for event in audit.export(node.database) if event["action"] == "association.refused"]

    wait_for(lambda: bool(refused()))
    events = refused()
    assert len(events) == 1  # a repetition within a minute is only counted
    assert events[0]["details"]["diagnostic"] == expected[2]
    assert send_ok(node)


def send_ok(node: Running, number: int = 99) -> bool:
    return send(node.port, image(study=9, number=number)) == [0x0000]


def test_the_association_limit_is_a_transient_rejection(start: Callable[[Settings], Running], make_settings: MakeSettings) -> None:
    node = start(make_settings(receive={"max_associations": 2}))
    with associated(node.port, {CT: [EXPLICIT]}), associated(node.port, {CT: [EXPLICIT]}):
        third = entity("PACS", {CT: [EXPLICIT]}).associate("127.0.0.1", node.port, ae_title="DICOMNODE")
        answer = third.acceptor.primitive
        assert third.is_rejected
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    wait_for(lambda: node.listener.details()["associations"] == "0")
    assert send_ok(node)


def test_silent_connections_are_closed_and_do_not_count_as_associations(
    start: Callable[[Settings], Running], make_settings: MakeSettings
) -> None:
    node = start(make_settings(receive={"max_associations": 2, "acse_timeout_s": 1.0, "network_timeout_s": 3600.0}))
    silent = [socket.create_connection(("127.0.0.1", node.port)) for _ in range(3)]
    assert send_ok(node)
    for connection in silent:
        connection.settimeout(240)
        assert connection.recv(1) == b""
        connection.close()


def test_bytes_that_are_no_dicom_do_not_stop_the_listener(node: Running) -> None:
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff" + b"A" * 1000, b"\x04\x00\x00\x00\x00\x04AAAA", b"\x00" * 500):
        with socket.create_connection(("127.0.0.1", node.port)) as connection:
            connection.sendall(garbage)
            connection.settimeout(240)
            try:
                while connection.recv(4096):
                    pass
            except ConnectionResetError:
                continue
    assert send_ok(node)


def test_the_same_instance_again_is_success_and_changes_nothing(node: Running) -> None:
    assert send(node.port, image()) == [0x0000]
    before = rows(node.database, "SELECT id, last_received_at, revision FROM units")
    assert send(node.port, image(), image()) == [0x0000, 0x0000]
    assert rows(node.database, "SELECT count(*) FROM instances") == [(1,)]
    assert rows(node.database, "SELECT id, last_received_at, revision FROM units") == before


def test_other_content_of_a_known_uid_is_kept_too(node: Running) -> None:
    assert send(node.port, image(), image(PatientID="OTHER")) == [0x0000, 0x0000]
    assert rows(node.database, "SELECT state FROM instances ORDER BY id") == [("current",), ("undecided",)]


def test_a_data_set_that_does_not_match_its_command_is_refused(node: Running) -> None:
    raw = data_set_bytes(image())
    with associated(node.port, {CT: [EXPLICIT], DERMOSCOPY: [EXPLICIT]}) as association:
        other_instance = store_bytes(association, raw, sop_class=CT, sop_instance=f"{ROOT}.5")
        other_class = store_bytes(association, raw, sop_class=DERMOSCOPY, sop_instance=image().SOPInstanceUID)
    assert (other_instance.Status, other_class.Status) == (0xA900, 0xA900)
    assert "differ" in other_instance.ErrorComment
    assert len(other_instance.ErrorComment) <= 64
    assert rows(node.database, "SELECT count(*) FROM instances") == [(0,)]
    kept = list_quarantined(node.database, limit=10)
    assert len(kept) == 2  # the same data set under two commands: the file head differs, so two contents
    assert {item.status for item in kept} == {0xA900}
    assert any(event["action"] == "instance.refused" for event in audit.export(node.database))


def test_garbage_data_set_is_quarantined_once(node: Running) -> None:
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        answers = [store_bytes(association, b"\xff\xfe" * 50, sop_class=CT, sop_instance=f"{ROOT}.6") for _ in range(2)]
        no_series = store_bytes(
            association, data_set_bytes(image(SeriesInstanceUID=None)), sop_class=CT, sop_instance=image().SOPInstanceUID
        )
        empty = store_bytes(association, None, sop_class=CT, sop_instance=f"{ROOT}.7")
    assert [answer.Status & 0xF000 for answer in (*answers, no_series, empty)] == [0xC000] * 4
    assert all(answer.ErrorComment for answer in (*answers, no_series, empty))
    items = {item.sop_instance_uid: item for item in list_quarantined(node.database, limit=10)}
    assert items[f"{ROOT}.6"].times == 2
    assert node.blobs.read(items[f"{ROOT}.6"].sha256).endswith(b"\xff\xfe" * 50)


@pytest.mark.parametrize("uid", ["../../../etc/x", "/etc/passwd", "1.2\\..\\3", "..", "1.2.00003", "%2e%2e/%2e%2e", "\xff\xfe", ""])
def test_hostile_sop_instance_uid_never_becomes_a_path(node: Running, tmp_path: Path, uid: str) -> None:
    def outside() -> set[Path]:
        return {path for path in tmp_path.rglob("*") if node.blobs.root not in path.parents}

    before, name = outside(), uid.encode("latin-1")
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        raw = _with_sop_instance(data_set_bytes(image()), name)
        status = _send_raw(association, _command(CT, name), raw)
    assert status in (0x0000, 0xA900, 0xC000)
    assert outside() == before
    assert all(len(path.name) == 64 for path in node.blobs.root.rglob("*") if path.is_file())
    assert send_ok(node)


def _with_sop_instance(raw: bytes, uid: bytes) -> bytes:
    """The Explicit VR data set with another value of (0008,0018)."""
    at = raw.index(b"\x08\x00\x18\x00UI")
    length = int.from_bytes(raw[at + 6 : at + 8], "little")
    uid += b"\0" * (len(uid) % 2)
    return raw[: at + 6] + len(uid).to_bytes(2, "little") + uid + raw[at + 8 + length :]


def test_a_uid_that_is_too_long_is_answered(node: Running) -> None:
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        assert _send_raw(association, _command(CT, b"1." + b"2" * 80), data_set_bytes(image())) == 0x0117
        assert _send_raw(association, _command(CT, b"1." + b"2" * 81), data_set_bytes(image())) == 0x0117  # the association goes on
    assert send_ok(node)


def _send_raw(association: Association, command: bytes, raw: bytes) -> int | None:
    """Send command and data set in hand-made PDVs. Returns the status of the answer, None when there is none."""
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    for control, body in ((3, command), (2, raw)):
        _send_pdv(association, control, body)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return None if response is None else int(response.Status)


def _send_pdv(association: Association, control: int, body: bytes) -> None:
    item = bytes([association.accepted_contexts[0].context_id or 0, control]) + body
    inner = len(item).to_bytes(4, "big") + item
    connection = association.dul.socket.socket  # type: ignore[union-attr]
    connection.sendall(b"\x04\x00" + len(inner).to_bytes(4, "big") + inner)  # type: ignore[union-attr]


def _command(sop_class: str, sop_instance: bytes) -> bytes:
    """An encoded C-STORE-RQ command set, whatever the UIDs look like (PS3.7 9.3.1)."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return (0).to_bytes(2, "little") + number.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value

    body = element(0x0002, sop_class.encode()) + element(0x0100, (1).to_bytes(2, "little")) + element(0x0110, (1).to_bytes(2, "little"))
    body += element(0x0700, (0).to_bytes(2, "little")) + element(0x0800, (0).to_bytes(2, "little")) + element(0x1000, sop_instance)
    return element(0, len(body).to_bytes(4, "little")) + body


def test_instance_larger_than_allowed(start: Callable[[Settings], Running], make_settings: MakeSettings) -> None:
    node = start(make_settings(receive={"max_instance_bytes": 1 << 16}))
    assert send(node.port, image(side=512), image(number=2)) == [0xA700, 0x0000]
    assert not list(node.blobs.tmp_dir.iterdir())


def test_full_disk_is_out_of_resources(node: Running, blobs: Blobs) -> None:
    """The disk fills while an association is open: once it is measured, new associations are rejected instead."""
    needed = {"min_free_bytes": shutil.disk_usage(blobs.root).total * 2}
    dataset = image()
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        node.listener.apply(node.settings.model_copy(update={"receive": node.settings.receive.model_copy(update=needed)}))
        answer = store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID, syntax=EXPLICIT)
    assert answer.Status == 0xA700
    assert rows(node.database, "SELECT count(*) FROM instances") == [(0,)]


def test_aborted_association_leaves_nothing_behind(node: Running) -> None:
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        for control, body in ((3, _command(CT, f"{ROOT}.8".encode())), *[(0, b"\0" * 100_000)] * 40):
            _send_pdv(association, control, body)
        wait_for(lambda: bool(list(node.blobs.tmp_dir.iterdir())))  # the spool file is being written
        association.abort()
    wait_for(lambda: not list(node.blobs.tmp_dir.iterdir()))
    assert send_ok(node)


def test_associations_are_leased_rows(start: Callable[[Settings], Running], make_settings: MakeSettings) -> None:
    node = start(make_settings(receive={"association_lease_s": 3.0}))

    def state() -> list[tuple[object, ...]]:
        return rows(node.database, "SELECT calling_ae, closed_at IS NULL, end_reason FROM associations ORDER BY opened_at")

    with associated(node.port, {CT: [EXPLICIT]}) as association:
        assert state() == []  # nothing was sent on it
        store_bytes(association, data_set_bytes(image()), sop_class=CT, sop_instance=image().SOPInstanceUID)
        assert [row[:2] for row in state()] == [("PACS", True)]
        (before,) = rows(node.database, "SELECT lease_until FROM associations")
        wait_for(lambda: str(rows(node.database, "SELECT lease_until FROM associations")[0][0]) > str(before[0]))  # renewed
    wait_for(lambda: state() == [("PACS", False, "released")])
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        store_bytes(association, data_set_bytes(image(number=2)), sop_class=CT, sop_instance=image(number=2).SOPInstanceUID)
        association.abort()
    wait_for(lambda: state()[1:] == [("PACS", False, "aborted")])


def test_drain_waits_for_open_associations(start: Callable[[Settings], Running], make_settings: MakeSettings) -> None:
    node = start(make_settings())
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        drained = threading.Thread(target=node.listener.drain, args=(240.0,))
        drained.start()
        wait_for(lambda: _is_refused(node.port))
        answer = store_bytes(association, data_set_bytes(image()), sop_class=CT, sop_instance=image().SOPInstanceUID)
        assert answer.Status == 0x0000
    drained.join(600)
    assert not drained.is_alive()


def _is_refused(port: int) -> bool:
    """Whether no further connection is accepted."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_drain_aborts_associations_after_its_time_out(start: Callable[[Settings], Running], make_settings: MakeSettings) -> None:
    node = start(make_settings())
    with associated(node.port, {CT: [EXPLICIT]}) as association:
        node.listener.drain(0.5)  # the association itself would stay open for receive.network_timeout_s
        wait_for(lambda: association.is_aborted)


def test_an_instance_over_the_work_budget_is_quarantined_with_the_element_named(node: Running) -> None:
    costly = {seed.name: (seed, tag) for seed, tag in costly_datasets()}
    for name in ("components in PatientName", "empty items"):
        seed, tag = costly[name]
        with associated(node.port, {CT: [seed.syntax]}) as association:
            answer = store_bytes(association, seed.data_set, sop_class=CT, sop_instance=seed.sop_instance, syntax=seed.syntax)
        assert answer.Status == 0xC000
        assert tag in list_quarantined(node.database, 10)[0].reason
    assert send_ok(node)


def test_each_negotiation_and_answer_is_logged_at_level_debug(node: Running) -> None:
    structlog.reset_defaults()
    private, dataset = "1.2.826.0.1.3680043.10.543.9.9", image()
    with capture_logs() as logged:
        with associated(node.port, {private: [EXPLICIT], CT: [EXPLICIT]}) as association:
            store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID)
        wait_for(lambda: any(entry["event"] == "association_ended" for entry in logged))
    events = {entry["event"]: entry for entry in logged}
    assert events["association_negotiated"]["accepted"] == ["CT Image Storage: Explicit VR Little Endian"]
    assert events["association_negotiated"]["refused"] == [f"{private}: Explicit VR Little Endian"]
    answered = events["instance_answered"]
    assert (answered["status_hex"], answered["instance"]) == ("0000", fingerprint(dataset.SOPInstanceUID))
    assert answered["bytes"] == len(data_set_bytes(dataset))
    assert 0 < answered["seconds"] < 600
    assert events["association_ended"]["state"] == "released"
    assert str(dataset.SOPInstanceUID) not in str(logged)
