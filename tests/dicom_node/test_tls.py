"""TLS as SCP and as SCU, with DCMTK as the peer and certificates of a private authority."""

import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings.peers.sources import Source
from core.settings.settings import Settings
from dicom_node.deliver.transport_types import OutgoingObject, SendResult
from dicom_node.deliver.transports import echo, open_transport
from dicom_node.receive import server
from dicom_node.statuses import SendOutcome
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.certificates import Authority
from tests.support.dcmtk_storescp import storescp
from tests.support.series import CT, encoded, image
from tests.support.storage_scu import dcmtk

Start = Callable[[Settings], Running]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def run(program: str, port: int, *options: str, files: tuple[str, ...] = ()) -> bool:
    command = [dcmtk(program), "-aet", "PACS", "-aec", "DICOMNODE", "-to", "240", "-ta", "240", *options, "127.0.0.1", str(port), *files]
    return subprocess.run(command, timeout=600, capture_output=True, check=False).returncode == 0


def test_only_with_a_client_certificate(start: Start, make_settings: MakeSettings, authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.sign("node")
    ours, our_key = authority.sign("pacs")
    foreign, foreign_key = Authority(tmp_path / "foreign", "Foreign").sign("stranger")
    node = start(make_settings(node={"tls": {"cert": cert, "key": key, "ca": authority.ca}}))
    trusting = ("+cf", str(authority.ca))
    assert run("echoscu", node.port, "+tls", str(our_key), str(ours), *trusting)
    assert not run("echoscu", node.port)
    assert not run("echoscu", node.port, "+tla", *trusting)
    assert not run("echoscu", node.port, "+tls", str(foreign_key), str(foreign), *trusting)
    sent = tmp_path / "slice.dcm"
    sent.write_bytes(encoded(image()))
    assert run("storescu", node.port, "+tls", str(our_key), str(ours), *trusting, files=(str(sent),))
    with node.database.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM instances").scalar_one() == 1


def test_only_the_pinned_certificate_may_use_an_ae_title(
    start: Start, make_settings: MakeSettings, authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.sign("node")
    ours, our_key = authority.sign("pacs")
    other, other_key = authority.sign("modality", host="127.0.0.2")  # of the same authority
    tls = {"cert": cert, "key": key, "ca": authority.ca}
    printed = subprocess.run(
        ["openssl", "x509", "-in", str(ours), "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True
    )
    pins = ({"sha256": printed.stdout.strip()}, {"subject": "CN=pacs"}, {"san": "127.0.0.1"})
    node = start(make_settings(node={"tls": tls}, sources=[{"ae_title": "PACS", "host": "127.0.0.1", "certificate": pins[0]}]))
    for pin in pins:
        source = Source.model_validate({"ae_title": "PACS", "host": "127.0.0.1", "certificate": pin})
        node.listener.apply(node.settings.model_copy(update={"sources": (source,)}))
        assert run("echoscu", node.port, "+tls", str(our_key), str(ours), "+cf", str(authority.ca)), pin
        assert not run("echoscu", node.port, "+tls", str(other_key), str(other), "+cf", str(authority.ca)), pin
    assert not run("echoscu", node.port)  # no TLS at all
    with node.database.begin() as connection:
        query = "SELECT action, details ->> 'reason', details ->> 'address' FROM audit_events WHERE actor = 'listen' ORDER BY id"
        events = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert events[0] == ("association.refused", "the source of this AE title has another TLS certificate", "127.0.0.1")
    assert events[-1][0] == "tls.refused"
    assert events[-1][2] == "127.0.0.1"


def test_tls_to_a_port_without_it_is_named(start: Start, make_settings: MakeSettings, authority: Authority) -> None:
    node = start(make_settings())
    assert not run("echoscu", node.port, "+tla", "+cf", str(authority.ca))
    with node.database.begin() as connection:
        query = "SELECT details ->> 'reason' FROM audit_events WHERE action = 'tls.refused'"
        assert connection.exec_driver_sql(query).scalars().all() == ["the peer speaks TLS, and [node.tls] is not set"]
    assert run("echoscu", node.port)


@pytest.mark.parametrize(
    ("version", "suites", "accepted"),
    [
        (ssl.TLSVersion.TLSv1_3, None, True),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES256-GCM-SHA384", True),
        (ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256", False),  # no forward secrecy
        (ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES256-SHA384", False),  # CBC
        (ssl.TLSVersion.TLSv1_1, "DEFAULT@SECLEVEL=0", False),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_versions_and_suites_of_bcp_195(
    start: Start, make_settings: MakeSettings, authority: Authority, version: ssl.TLSVersion, suites: str | None, accepted: bool
) -> None:
    cert, key = authority.sign("node")
    node = start(make_settings(node={"tls": {"cert": cert, "key": key, "require_client_cert": False}}))
    context = ssl.create_default_context(cafile=authority.ca)
    context.minimum_version = context.maximum_version = version
    if suites is not None:
        context.set_ciphers(suites)
    with socket.create_connection(("127.0.0.1", node.port), timeout=600) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1"):
                assert accepted
        except (ssl.SSLError, ConnectionError):
            assert not accepted


def test_a_slow_handshake_does_not_delay_the_others(
    start: Start, make_settings: MakeSettings, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One connection never begins its handshake, and is not closed for it either."""
    monkeypatch.setattr(server, "TLS_HANDSHAKE_TIMEOUT_S", 3600.0)
    cert, key = authority.sign("node")
    node = start(make_settings(node={"tls": {"cert": cert, "key": key, "require_client_cert": False}}))
    with socket.create_connection(("127.0.0.1", node.port)):
        assert run("echoscu", node.port, "+tla", "+cf", str(authority.ca))


def test_unusable_files_are_reported(start: Start, make_settings: MakeSettings, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"node\.tls"):
        start(make_settings(node={"tls": {"cert": tmp_path / "no", "key": tmp_path / "no"}}))
    cert, key = authority.sign("node")
    with pytest.raises(ConfigurationError, match="require_client_cert needs ca"):
        start(make_settings(node={"tls": {"cert": cert, "key": key}}))


def deliver(settings: Settings) -> SendResult:
    made = image()
    outgoing = OutgoingObject(CT, str(made.SOPInstanceUID), encoded(made))
    with open_transport(settings, settings.destinations[0], [outgoing]) as transport:
        return transport.send(outgoing)


def test_as_scu_both_sides_present_certificates(make_settings: MakeSettings, authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.sign("pacs")
    ours, our_key = authority.sign("node")

    def settings(port: int, **tls: Path) -> Settings:
        destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port}
        return make_settings(destinations=[destination | ({"tls": tls} if tls else {})], delivery={"timeout_s": 60.0})

    with storescp(tmp_path / "in", "+tls", str(key), str(cert), "+cf", str(authority.ca), "-rc") as port:
        mutual = settings(port, ca=authority.ca, cert=ours, key=our_key)
        assert echo(mutual, mutual.destinations[0])[:2] == (True, "C-ECHO answered")
        assert deliver(mutual).outcome is SendOutcome.STORED
        assert len(list((tmp_path / "in").iterdir())) == 1
        without = deliver(settings(port, ca=authority.ca))
        assert (without.outcome, without.unreachable) == (SendOutcome.TRANSIENT, True)
        assert deliver(settings(port)).unreachable, "plain DICOM is not accepted"
        stranger = deliver(settings(port, ca=Authority(tmp_path / "stranger").ca, cert=ours, key=our_key))
        assert "its certificate is not accepted" in stranger.reason
        unreadable = deliver(settings(port, ca=tmp_path / "nowhere.pem"))
        assert "cannot be used" in unreadable.reason
    assert len(list((tmp_path / "in").iterdir())) == 1


def test_as_scu_the_host_name_is_verified(make_settings: MakeSettings, authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.sign("other", host="10.9.8.7")
    with storescp(tmp_path / "in", "+tls", str(key), str(cert), "-ic") as port:
        destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": port, "tls": {"ca": authority.ca}}
        result = deliver(make_settings(destinations=[destination], delivery={"timeout_s": 60.0}))
    assert result.outcome is SendOutcome.TRANSIENT
    assert "its certificate is not accepted: IP address mismatch" in result.reason
