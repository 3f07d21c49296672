"""Delivery into a real folder, and by STOW-RS to Orthanc with its DICOMweb plug-in over TLS."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from core.settings.settings import Settings
from dicom_node.deliver.folder import file_name
from dicom_node.deliver.stow_response import interpret_response
from dicom_node.deliver.transport_types import OutgoingObject, SendResult
from dicom_node.deliver.transports import echo, open_transport
from dicom_node.statuses import SendOutcome
from tests.dicom_node.conftest import MakeSettings
from tests.support.certificates import Authority
from tests.support.orthanc import Orthanc
from tests.support.series import CT, encoded, image
from tests.support.tls_front import tls_front

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def outgoing(number: int = 1, **changes: Any) -> OutgoingObject:
    made = image(number=number, **changes)
    return OutgoingObject(CT, str(made.SOPInstanceUID), encoded(made))


def deliver(settings: Settings, *objects: OutgoingObject) -> list[SendResult]:
    with open_transport(settings, settings.destinations[0], objects) as transport:
        return [transport.send(one) for one in objects]


def echo_result(settings: Settings) -> tuple[bool, str]:
    return echo(settings, settings.destinations[0])[:2]


def test_a_file_appears_complete_and_its_name_holds_no_identifier(make_settings: MakeSettings, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    settings = make_settings(destinations=[{"name": "share", "folder": folder}])
    one = outgoing()
    (result,) = deliver(settings, one)
    assert (result.outcome, result.unreachable) == (SendOutcome.TRANSIENT, True)
    assert "mounted" in result.reason
    assert echo_result(settings)[0] is False
    folder.mkdir()
    assert echo_result(settings) == (True, "the folder can be written to")
    assert [result.outcome for result in deliver(settings, one, outgoing(2), one)] == [SendOutcome.STORED] * 3
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([file_name(one.sop_instance_uid), file_name(outgoing(2).sop_instance_uid)])
    assert (folder / file_name(one.sop_instance_uid)).read_bytes() == one.content
    assert file_name("../../etc/passwd").isalnum() or file_name("../../etc/passwd").endswith(".dcm")
    assert "/" not in file_name("../../etc/passwd")


def test_a_folder_that_cannot_be_written_to_is_transient(make_settings: MakeSettings, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    settings = make_settings(destinations=[{"name": "share", "folder": folder}])
    one = outgoing()
    (folder / file_name(one.sop_instance_uid)).mkdir(parents=True)  # a folder has the name of the file
    (result,) = deliver(settings, one)
    assert (result.outcome, result.connection_lost) == (SendOutcome.TRANSIENT, True)
    assert [path.name for path in folder.iterdir()] == [file_name(one.sop_instance_uid)], "nothing unfinished is left"


@dataclass(frozen=True, slots=True)
class Web:
    orthanc: Orthanc
    authority: Authority
    port: int  # of the TLS front


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Orthanc's DICOMweb behind TLS, with a password."""
    folder = tmp_path_factory.mktemp("web")
    authority = Authority(folder / "certificates")
    closed = {"Plugins": [PLUGIN], "AuthenticationEnabled": True, "RegisteredUsers": {"node": "secret-word"}}
    orthanc = Orthanc(folder / "orthanc", "WEBPACS", closed)
    orthanc.signed_in("node", "secret-word")
    orthanc.start()
    with tls_front(orthanc.http_port, *authority.sign("web")) as port:
        yield Web(orthanc, authority, port)
    orthanc.stop()


@pytest.fixture
def to_web(web: Web, make_settings: MakeSettings, tmp_path: Path) -> Callable[..., Settings]:
    """Settings with that Orthanc as the destination; keywords change the destination."""
    (tmp_path / "password").write_text("secret-word\n")

    def make(**changes: Any) -> Settings:
        destination = {
            "name": "web",
            "stow_url": f"https://127.0.0.1:{web.port}/dicom-web",
            "user": "node",
            "password_file": tmp_path / "password",
            "tls": {"ca": web.authority.ca},
        }
        return make_settings(destinations=[destination | changes], delivery={"timeout_s": 20.0})

    return make


def test_stow_to_orthanc_over_tls(web: Web, to_web: Callable[..., Settings]) -> None:
    settings = to_web()
    assert echo_result(settings) == (True, "QIDO-RS answered HTTP 200")
    big = outgoing(3, side=1024)  # larger than one chunk of the client
    results = deliver(settings, outgoing(1), outgoing(2), big)
    assert [(result.outcome, result.status) for result in results] == [(SendOutcome.STORED, 0)] * 3
    (held,) = web.orthanc.post("/tools/lookup", big.sop_instance_uid.encode())
    assert web.orthanc.file(held["ID"]) == big.content
    again = deliver(to_web(stow_url=f"https://127.0.0.1:{web.port}/dicom-web/studies/"), outgoing(1))
    assert again[0].outcome is SendOutcome.STORED


def test_stow_with_a_wrong_password_or_certificate_is_transient(to_web: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess")
    settings = to_web(password_file=tmp_path / "wrong")
    (result,) = deliver(settings, outgoing())
    assert (result.outcome, result.connection_lost) == (SendOutcome.TRANSIENT, True)
    assert "credentials are not accepted" in result.reason
    assert echo_result(settings) == (False, "QIDO-RS answered HTTP 401: the credentials are not accepted")
    (result,) = deliver(to_web(password_file=tmp_path / "absent"), outgoing())
    assert (result.unreachable, result.outcome) == (True, SendOutcome.TRANSIENT)
    stranger = Authority(tmp_path / "stranger", "Stranger")
    (result,) = deliver(to_web(tls={"ca": stranger.ca}), outgoing())
    assert result.unreachable
    assert "certificate" in result.reason
    assert "secret-word" not in result.reason


def test_stow_to_a_closed_port_or_to_another_service(web: Web, to_web: Callable[..., Settings], make_settings: MakeSettings) -> None:
    (result,) = deliver(to_web(stow_url="https://127.0.0.1:1/dicom-web"), outgoing())
    assert (result.unreachable, result.reason) == (True, "no connection: Connection refused")
    (result,) = deliver(to_web(stow_url=f"https://127.0.0.1:{web.port}/nowhere"), outgoing())
    assert result.outcome is SendOutcome.TRANSIENT
    assert "not at this URL" in result.reason
    (result,) = deliver(to_web(stow_url=f"https://127.0.0.1:{web.port}/app"), outgoing())
    assert result.outcome is SendOutcome.TRANSIENT, "the answer of another page never counts as stored"


def test_stow_with_a_client_certificate(web: Web, to_web: Callable[..., Settings]) -> None:
    cert, key = web.authority.sign("client")
    with tls_front(web.orthanc.http_port, *web.authority.sign("mutual"), web.authority.ca) as port:
        url = f"https://127.0.0.1:{port}/dicom-web"
        ours = {"ca": web.authority.ca, "cert": cert, "key": key}
        assert deliver(to_web(stow_url=url, tls=ours), outgoing())[0].outcome is SendOutcome.STORED
        refused = deliver(to_web(stow_url=url), outgoing())[0]
        assert (refused.outcome, refused.connection_lost) == (SendOutcome.TRANSIENT, True)


class Service(BaseHTTPRequestHandler):
    """A DICOMweb service that accepts one token, and redirects ``/old`` to a page."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/old/studies":
            self.send_response(302)
            self.send_header("Location", "/sign-in")
            self.end_headers()
            return
        taken = self.headers["Authorization"] == "Bearer good-token"
        content = answer(stored=True, uid=outgoing().sop_instance_uid) if taken else b""
        self.send_response(200 if taken else 403)
        self.send_header("Content-Type", "application/dicom+json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.send_response(405)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_stow_uses_a_renewed_token_and_follows_no_redirect(make_settings: MakeSettings, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old-token")
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

        def settings(path: str) -> Settings:
            url = f"http://127.0.0.1:{server.server_port}/{path}"
            return make_settings(destinations=[{"name": "web", "stow_url": url, "token_file": token}])

        refused = deliver(settings("web"), outgoing())[0]
        assert (refused.outcome, refused.reason) == (SendOutcome.TRANSIENT, "HTTP 403: not authorised")
        token.write_text("good-token\n")
        assert deliver(settings("web"), outgoing())[0].outcome is SendOutcome.STORED
        redirected = deliver(settings("old"), outgoing())[0]
        assert (redirected.outcome, redirected.reason) == (SendOutcome.TRANSIENT, "the service redirects: give its final URL")
        assert echo_result(settings("web")) == (True, "the service answered (HTTP 405: it has no search)")
        token.write_bytes(b"\xff\xfe")
        assert echo_result(settings("web")) == (False, "a secret or certificate cannot be read: it is no UTF-8 text")
        unreadable = deliver(settings("web"), outgoing())[0]
        assert (unreadable.outcome, unreadable.unreachable) == (SendOutcome.TRANSIENT, True)
        server.shutdown()


UID = "1.2.3"


def answer(failed: object = None, stored: bool = False, uid: str = UID) -> bytes:
    said: dict[str, Any] = {}
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if failed is not None:
        said["00081198"] = {"vr": "SQ", "Value": [item | {"00081197": {"vr": "US", "Value": [failed]}}]}
    if stored:
        said["00081199"] = {"vr": "SQ", "Value": [item]}
    return json.dumps(said).encode()


@pytest.mark.parametrize(
    ("status", "body", "outcome", "words"),
    [
        (200, answer(stored=True), SendOutcome.STORED, "stored"),
        (202, answer(stored=True), SendOutcome.STORED, "stored"),
        (200, b"<html>please sign in</html>", SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (200, b"", SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (200, answer(stored=True, uid="9.9"), SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (200, b"[[]]", SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (200, b"[" * 500_000, SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (200, b'{"00081199": {"Value": [{"00081155": "1.2.3"}, 7]}}', SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (200, b'{"00081199": {"Value": [{"00081155": {"Value": {"a": 1}}}]}}', SendOutcome.TRANSIENT, "is this the DICOMweb service?"),
        (409, answer(failed={"a": 1}), SendOutcome.HELD, "no reason is given"),
        (409, answer(failed=float("inf")), SendOutcome.HELD, "no reason is given"),
        (409, answer(failed=0xA700), SendOutcome.TRANSIENT, "out of resources"),
        (202, answer(failed=0x0110), SendOutcome.TRANSIENT, "processing failure"),
        (409, answer(failed=0xA901), SendOutcome.HELD, "the patient or study"),
        (409, answer(failed=0xA778), SendOutcome.HELD, "the patient ID differs"),
        (409, answer(failed=0xC000), SendOutcome.PERMANENT, "cannot understand"),
        (409, answer(failed=0x0122), SendOutcome.PERMANENT, "not supported"),
        (409, b"", SendOutcome.HELD, "conflict"),
        (400, b"", SendOutcome.PERMANENT, "malformed"),
        (413, b"", SendOutcome.PERMANENT, "too large"),
        (401, b"", SendOutcome.TRANSIENT, "credentials"),
        (503, b"", SendOutcome.TRANSIENT, "busy"),
        (500, b"oops", SendOutcome.TRANSIENT, "the service failed"),
    ],
)
def test_what_a_response_means(status: int, body: bytes, outcome: SendOutcome, words: str) -> None:
    result = interpret_response(status, body, UID)
    assert result.outcome is outcome
    assert words in result.reason
