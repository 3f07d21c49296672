"""From P-DATA to answers over real sockets: messages in fragments of any size, and unexpected messages."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.association import Association
from pynetdicom.dsutils import decode

from dicom_node.receive.store_command import StoreCommand, encode_store_response, read_store_request
from imaging.wire.command_set import read_command_set
from imaging.wire.part10 import encode_head
from tests.dicom_node.conftest import Running
from tests.support.send_role import wait_for
from tests.support.series import CT, image
from tests.support.storage_scu import associated, data_set_bytes, send

EXPLICIT = "1.2.840.10008.1.2.1"
P_DATA, A_ABORT = 4, 7


def element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def number(value: int) -> bytes:
    return struct.pack("<H", value)


def command(instance: str, message_id: int = 1, *, without: int | None = None, field: int = 1) -> bytes:
    parts = {
        0x0002: CT.encode(),
        0x0100: number(field),
        0x0110: number(message_id),
        0x0700: number(0),
        0x0800: number(0),
        0x1000: instance.encode(),
    }
    return b"".join(element(tag, value) for tag, value in parts.items() if tag != without)


def pdv(context_id: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">LBB", len(fragment) + 2, context_id, control) + fragment


def pdu(*values: bytes) -> bytes:
    body = b"".join(values)
    return struct.pack(">BxL", P_DATA, len(body)) + body


def pieces(content: bytes, size: int, context_id: int, kind: int) -> Iterator[bytes]:
    for at in range(0, len(content), size):
        yield pdv(context_id, kind | (2 if at + size >= len(content) else 0), content[at : at + size])


@contextmanager
def wire(node: Running, *, max_pdu: int = 16382) -> Iterator[tuple[socket.socket, int]]:
    """The socket of an association that pynetdicom no longer reads, and the ID of the presentation context of CT."""
    with associated(node.port, {CT: [EXPLICIT]}, max_pdu=max_pdu) as association:
        connection, context_id = taken(association), association.accepted_contexts[0].context_id
        assert context_id is not None
        yield connection, context_id
        connection.close()


def taken(association: Association) -> socket.socket:
    wrapped = association.dul.socket
    assert wrapped is not None
    assert wrapped.socket is not None
    association.dul._kill_thread = True
    association.dul.join(600)
    connection: socket.socket = wrapped.socket
    association.is_established = False
    association._kill = True
    connection.settimeout(240)
    return connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next PDU; (0, b"") where the connection ends."""

    def exactly(count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = connection.recv(count - len(found))
            if not more:
                return b""
            found += more
        return found

    try:
        top = exactly(6)
        return (top[0], exactly(struct.unpack(">L", top[2:])[0])) if top else (0, b"")
    except ConnectionResetError:
        return 0, b""


def status(connection: socket.socket) -> tuple[int, int]:
    """(message ID responded to, status) of the next C-STORE-RSP."""
    kind, body = answer(connection)
    assert kind == P_DATA
    assert body[5] == 3
    found = read_command_set(body[6:])
    return struct.unpack("<H", found[0x0120])[0], struct.unpack("<H", found[0x0900])[0]


def instance_bytes(instance: int) -> tuple[str, bytes]:
    made = image(number=instance)
    return str(made.SOPInstanceUID), data_set_bytes(made)


@pytest.mark.parametrize("size", [2, 501, 9000, 1 << 20])
def test_fragments_of_any_size_are_kept_bit_for_bit(node: Running, size: int) -> None:
    uid, raw = instance_bytes(1)
    with wire(node) as (connection, context):
        values = [*pieces(command(uid), size, context, 1), *pieces(raw, size, context, 0)]
        together = [values[at : at + 7] for at in range(0, len(values), 7)] if size < 1000 else [[one] for one in values]
        connection.sendall(b"".join(pdu(*some) for some in together))
        assert status(connection) == (1, 0)
    expected = encode_head(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid=EXPLICIT) + raw
    with node.database.begin() as db:
        (sha256,) = db.exec_driver_sql("SELECT sha256 FROM instances").one()
    assert node.blobs.read(sha256) == expected


def test_command_and_data_set_in_one_pdu_and_requests_that_do_not_wait(node: Running) -> None:
    with wire(node) as (connection, context):
        requests = b""
        for message_id in (1, 2, 3):
            uid, raw = instance_bytes(message_id)
            requests += pdu(pdv(context, 3, command(uid, message_id)), pdv(context, 2, raw))
        connection.sendall(requests)
        assert [status(connection) for _ in range(3)] == [(1, 0), (2, 0), (3, 0)]


def test_the_answer_fits_the_pdus_that_the_peer_takes(node: Running) -> None:
    uid, raw = instance_bytes(1)
    with wire(node, max_pdu=50) as (connection, context):
        connection.sendall(pdu(pdv(context, 3, command(uid))) + pdu(pdv(context, 2, raw)))
        found, control = b"", 0
        while not control & 2:
            kind, body = answer(connection)
            assert kind == P_DATA
            assert len(body) <= 50
            found, control = found + body[6:], body[5]
    response = decode(BytesIO(found), True, True)
    assert (response.Status, response.AffectedSOPInstanceUID) == (0, uid)


@pytest.mark.parametrize("without", [0x0002, 0x0700, 0x1000])
def test_a_command_that_lacks_something_is_answered(node: Running, without: int) -> None:
    uid, raw = instance_bytes(1)
    with wire(node) as (connection, context):
        for message_id, missing in ((1, without), (2, None)):
            connection.sendall(pdu(pdv(context, 3, command(uid, message_id, without=missing)), pdv(context, 2, raw)))
        assert [status(connection) for _ in range(2)] == [(1, 0xC000), (2, 0x0000)]


UNEXPECTED = {
    "a data set without its command": lambda c: pdu(pdv(c, 2, b"data")),
    "a command within a data set": lambda c: pdu(pdv(c, 3, command("1.2.3")), pdv(c, 0, b"data"), pdv(c, 3, command("1.2.3"))),
    "no message ID": lambda c: pdu(pdv(c, 3, command("1.2.3", without=0x0110))),
    "a data set in another context": lambda c: pdu(pdv(c, 3, command(instance_bytes(1)[0])), pdv(c + 2, 2, instance_bytes(1)[1])),
    "a command in two contexts": lambda c: pdu(
        pdv(c + 2, 1, command(instance_bytes(1)[0])[:40]), pdv(c, 3, command(instance_bytes(1)[0])[40:]), pdv(c, 2, instance_bytes(1)[1])
    ),
    "another context": lambda c: pdu(pdv(c + 2, 3, command("1.2.3"))),
    "a value longer than its PDU": lambda c: struct.pack(">BxL", P_DATA, 10) + struct.pack(">LBB", 99, c, 3) + b"abcd",
    "a value without its head": lambda c: struct.pack(">BxL", P_DATA, 3) + b"\0\0\0",
    "a value of no length": lambda c: struct.pack(">BxL", P_DATA, 6) + struct.pack(">LBB", 0, c, 3),
    "a command set that is none": lambda c: pdu(pdv(c, 3, b"\x08\0\0\0\xff\xff\xff\xff")),
    "an unknown command": lambda c: pdu(pdv(c, 3, command("1.2.3", field=0x7777))),
    "an endless command": lambda c: b"".join(pdu(pdv(c, 1, b"\0" * 9000)) for _ in range(9)),
}


@pytest.mark.parametrize("what", UNEXPECTED)
def test_a_malformed_or_unexpected_message_ends_only_its_association(node: Running, what: str) -> None:
    with wire(node) as (connection, context):
        connection.sendall(UNEXPECTED[what](context))
        assert answer(connection)[0] in (A_ABORT, 0)
    assert send(node.port, image()) == [0x0000]
    wait_for(lambda: not list(node.blobs.tmp_dir.iterdir()) and node.listener.details()["associations"] == "0")


@given(st.binary(max_size=200))
def test_any_bytes_are_at_most_an_invalid_command_set(content: bytes) -> None:
    try:
        read_store_request(read_command_set(content))
    except ValueError as error:
        assert "command set" in str(error) or "Message ID" in str(error)  # noqa: PT017 - both outcomes are right


@given(st.text(max_size=200), st.integers(0, 0xFFFF))
def test_a_response_can_be_decoded(comment: str, code: int) -> None:
    response = decode(BytesIO(encode_store_response(StoreCommand(9, CT, "1.2.3", complete=True), code, comment)), True, True)
    assert (response.Status, response.MessageIDBeingRespondedTo, response.CommandDataSetType) == (code, 9, 0x0101)
    assert len(response.get("ErrorComment", "")) <= 64
