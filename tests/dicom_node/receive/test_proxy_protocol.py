"""The PROXY protocol: whose connection a load balancer forwards, and that nobody else can say so."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings.settings import Settings
from db.engine import Database
from deploy.local.ports import accepts_connections, free_port
from dicom_node.receive.connections.proxy_protocol import SIGNATURE, ProxyHeaderError, read_client_address
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.external_programs import tool
from tests.support.records import rows
from tests.support.send_role import wait_for
from tests.support.series import CT, image
from tests.support.storage_scu import associated, data_set_bytes, entity, store_bytes

SENDER, STRANGER = "127.0.0.5", "127.0.0.6"
CONTEXTS = {CT: ["1.2.840.10008.1.2.1"]}
V2_TCP4 = SIGNATURE + b"\x21\x11\x00\x0c" + bytes([10, 1, 2, 3, 127, 0, 0, 1]) + (4711).to_bytes(2, "big") + b"\x2b\x68"
V2_TCP6 = SIGNATURE + b"\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::5") + bytes(16) + b"\x12\x67\x2b\x68"


def read(sent: bytes, *, close: bool = True) -> tuple[tuple[str, int] | None, bytes]:
    """What the header says, and the bytes that are left for the association."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(sent)
        if close:
            theirs.shutdown(socket.SHUT_WR)
        found = read_client_address(ours, timeout_s=0.5 if not close else 60.0)
        ours.settimeout(60.0)
        return found, ours.recv(1 << 16) if close else b""


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 10.1.2.3 127.0.0.1 4711 11112\r\n", ("10.1.2.3", 4711)),
        (b"PROXY TCP6 2001:DB8::5 ::1 4711 11112\r\n", ("2001:db8::5", 4711)),
        (V2_TCP4, ("10.1.2.3", 4711)),
        (V2_TCP6, ("2001:db8::5", 4711)),
        (V2_TCP4[:15] + b"\x13" + V2_TCP4[16:] + b"\x04\x00\x04\x00\x00\x00\x00", ("10.1.2.3", 4711)),  # with a TLV
        (b"PROXY UNKNOWN\r\n", None),
        (SIGNATURE + b"\x20\x00\x00\x00", None),
    ],
)
def test_the_header_is_read_to_its_end_and_not_further(header: bytes, address: tuple[str, int] | None) -> None:
    assert read(header + b"\x01\x00REST") == (address, b"\x01\x00REST")


@pytest.mark.parametrize(
    "header",
    [
        b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00DICOMNODE",  # A-ASSOCIATE-RQ
        b"PROXY TCP4 10.1.2.3 127.0.0.1 4711\r\n",
        b"PROXY TCP4 2001:db8::5 ::1 4711 11112\r\n",
        b"PROXY TCP4 10.1.2.999 127.0.0.1 4711 11112\r\n",
        b"PROXY TCP4 10.1.2.3 127.0.0.1 99999 11112\r\n",
        b"PROXY " + b"x" * 200,
        b"PROXY TCP4 10.1",
        V2_TCP4[:20],
        SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x31\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(12),
    ],
)
def test_anything_else_is_refused(header: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        read(header)


def test_a_header_that_does_not_come_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(ProxyHeaderError, match="in time"):
        read(b"PROXY TCP4", close=False)
    assert time.monotonic() - began < 30
    assert read(b"") == (None, b"")  # a check that only connects


def test_a_header_that_has_arrived_is_read_although_the_listener_is_late() -> None:
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.sendall(V2_TCP4)
        assert read_client_address(ours, timeout_s=0.0) == ("10.1.2.3", 4711)
        with pytest.raises(ProxyHeaderError, match="in time"):
            read_client_address(ours, timeout_s=0.0)


@given(st.binary(max_size=64), st.sampled_from([b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_hostile_headers_raise_one_kind_of_error(rest: bytes, begin: bytes) -> None:
    try:
        found, _ = read(begin + rest)
    except ProxyHeaderError:
        return
    assert found is None or len(found) == 2


@contextmanager
def haproxy(folder: Path, ports: list[int]) -> Iterator[int]:
    """A real HAProxy before these listeners; the port that it listens on."""
    port = free_port()
    servers = "\n".join(
        # A check counts as failed after `inter`, also where HAProxy itself gets no processor for so long. It would send the images of a
        # listener that runs to the other one. The end of a listener is noticed without a check: its port refuses connections.
        f"  server listener{number} 127.0.0.1:{behind} send-proxy-v2 check inter 60s"
        for number, behind in enumerate(ports)
    )
    config = folder / "haproxy.cfg"
    config.write_text(
        "defaults\n  mode tcp\n  timeout connect 30s\n  timeout client 120s\n  timeout server 120s\n  option redispatch\n  retries 1\n"
        f"listen dicom\n  bind 127.0.0.1:{port}\n  balance roundrobin\n{servers}\n"
    )
    with subprocess.Popen([tool("haproxy", "haproxy"), "-f", str(config), "-db", "-q"]) as process:
        try:
            wait_for(lambda: accepts_connections("127.0.0.1", port))
            yield port
        finally:
            process.kill()


def send_from(address: str, port: int, number: int) -> int | None:
    """Send one image from an address of this machine; None where the association is refused."""
    dataset = image(number=number)
    association = entity("PACS", CONTEXTS).associate("127.0.0.1", port, ae_title="DICOMNODE", bind_address=(address, 0))
    if not association.is_established:
        return None
    status = store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID).Status
    association.release()
    return int(status)


def behind_proxy(make_settings: MakeSettings) -> Settings:
    return make_settings(receive={"proxies": ["127.0.0.1"]}, sources=[{"ae_title": "PACS", "host": SENDER}])


def received(listener: Running) -> int:
    return int(listener.listener.details()["received"])


def test_two_listeners_behind_haproxy_know_the_sender(
    start: Callable[[Settings], Running], make_settings: MakeSettings, database: Database, tmp_path: Path
) -> None:
    """Both take what HAProxy forwards, under the sender's own address, and when one ends the other takes everything."""
    listeners = [start(behind_proxy(make_settings)) for _ in range(2)]
    with haproxy(tmp_path, [listener.port for listener in listeners]) as port:
        assert [send_from(SENDER, port, number) for number in range(6)] == [0x0000] * 6
        assert send_from(STRANGER, port, 6) is None  # HAProxy's own address is that of no source
        wait_for(lambda: sum(received(listener) for listener in listeners) == 6)
        assert all(received(listener) for listener in listeners)  # not equal: where one is slow HAProxy asks the other
        wait_for(lambda: set(rows(database, "SELECT address, end_reason FROM associations")) == {(SENDER, "released")})
        listeners[0].listener.drain(10.0)
        assert [send_from(SENDER, port, number) for number in range(10, 14)] == [0x0000] * 4
    assert rows(database, "SELECT count(*) FROM instances") == [(10,)]


def test_only_named_proxies_may_say_who_connects(start: Callable[[Settings], Running], make_settings: MakeSettings) -> None:
    settings = make_settings(receive={"proxies": ["127.0.0.9"]}, sources=[{"ae_title": "PACS", "host": "127.0.0.1"}])
    listener = start(settings)
    forged = b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 11112\r\n"
    with socket.create_connection(("127.0.0.1", listener.port), timeout=60, source_address=("127.0.0.6", 0)) as stranger:
        stranger.sendall(forged)
        stranger.settimeout(60)
        assert stranger.recv(10)[:1] in (b"", b"\x07")  # closed or aborted: it is no header here but a malformed PDU
    with associated(listener.port, CONTEXTS) as direct:  # from an address that is no proxy: no header is expected
        assert direct.is_established
    with socket.create_connection(("127.0.0.1", listener.port), timeout=60, source_address=("127.0.0.9", 0)) as proxy:
        proxy.sendall(b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00" + b"DICOMNODE".ljust(16))
        assert proxy.recv(10) == b""  # a proxy without header is not trusted to be a sender itself
