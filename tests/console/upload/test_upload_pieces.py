"""Uploads over real HTTP: pieces with offsets, resumption, limits, and whose upload it is."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.engine import Database
from db.roles.heartbeats import record_heartbeat
from db.uploads.shared_folder import DETAIL, folder_name
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import rows, run

BYTES = "application/octet-stream"
CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """One database for all tests: each looks at its own upload."""
    add_users(module_database)
    return module_database


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def console(database: Database, data_dir: Path) -> Iterator[RunningConsole]:
    with RunningConsole(database, data_dir) as running:
        yield running


@pytest.fixture(scope="module")
def browser(console: RunningConsole) -> Iterator[Browser]:
    with console.browser("clinician") as browser:
        yield browser


@pytest.fixture(autouse=True)
def nothing_waiting(database: Database) -> Iterator[None]:
    """No upload of an earlier test."""
    yield
    run(database, "DELETE FROM uploads; DELETE FROM alerts")


def _headers(browser: Browser, **more: str) -> dict[str, str]:
    return {"Origin": str(browser.base_url).rstrip("/"), "X-Form-Token": browser.form_token, **more}


def begin(browser: Browser, *files: dict[str, Any], **statement: str) -> httpx.Response:
    browser.open("/upload")
    return browser.post("/upload", json={"files": list(files), "statement": statement}, headers=_headers(browser))


def send(browser: Browser, path: str, offset: int, content: bytes) -> httpx.Response:
    return browser.post(path, content=content, headers=_headers(browser, **{"Upload-Offset": str(offset), "Content-Type": BYTES}))


def test_a_file_arrives_in_pieces_and_goes_to_the_listener_once(browser: Browser, database: Database, data_dir: Path) -> None:
    begun = begin(browser, {"name": "a.dcm", "size": len(CONTENT)}, patient_id="P-1").json()
    path = f"/uploads/{begun['id']}/files/{begun['files'][0]['id']}"
    assert send(browser, path, 0, CONTENT[:4000]).json()["offset"] == 4000
    wrong = send(browser, path, 3000, CONTENT[3000:6000])
    assert (wrong.status_code, wrong.json()["offset"]) == (409, 4000), "a piece that overlaps is refused with the right offset"
    assert send(browser, path, 4000, CONTENT[4000:] + b"x").status_code == 409, "more than announced"
    assert browser.get(path).json()["offset"] == 4000
    assert rows(database, "SELECT state FROM upload_files") == [("receiving",)]
    assert send(browser, path, 4000, CONTENT[4000:]).json()["offset"] == len(CONTENT)
    assert rows(database, "SELECT state FROM upload_files") == [("received",)]
    spooled = data_dir / "uploads" / str(begun["files"][0]["id"])
    assert hashlib.sha256(spooled.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()
    assert send(browser, path, len(CONTENT), b"").json()["state"] == "received", "the last piece again has no effect"


def test_what_arrived_before_the_connection_broke_is_not_sent_again(browser: Browser, console: RunningConsole) -> None:
    begun = begin(browser, {"name": "a.zip", "size": len(CONTENT)}).json()
    path = f"/uploads/{begun['id']}/files/{begun['files'][0]['id']}"

    def breaks() -> Iterator[bytes]:
        yield CONTENT[:5000]
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        browser.post(path, content=breaks(), headers=_headers(browser, **{"Upload-Offset": "0", "Content-Type": BYTES}))
    offset = browser.get(path).json()["offset"]
    reply = send(browser, path, offset, CONTENT[offset:])
    while reply.status_code in (409, 423):  # the broken request may still be ending
        offset = reply.json()["offset"]
        reply = send(browser, path, offset, CONTENT[offset:])
    assert reply.json()["offset"] == len(CONTENT)


def test_the_same_announcement_resumes_the_upload(browser: Browser) -> None:
    file = {"name": "a.jpg", "size": 9000, "modified": 1700000000000}
    first = begin(browser, file).json()
    send(browser, f"/uploads/{first['id']}/files/{first['files'][0]['id']}", 0, CONTENT[:3000])
    again = begin(browser, file).json()
    assert (again["id"], again["files"][0]["offset"]) == (first["id"], 3000)


def test_files_that_cannot_be_taken_are_named_before_a_byte_is_sent(browser: Browser, database: Database) -> None:
    files = [
        {"name": "big.png", "size": 17 << 20},
        {"name": "x.heic", "size": 5},
        {"name": "none.dcm", "size": 0},
        {"name": "IM1", "size": 5},
    ]
    states = begin(browser, *files).json()["files"]
    assert [state["state"] for state in states] == ["refused", "refused", "refused", "receiving"]
    assert "16 MB" in states[0]["message"]
    page = browser.get(f"/uploads/{rows(database, 'SELECT id FROM uploads')[0][0]}").text
    assert "big.png" in page
    assert "17.0 MB" in page


@pytest.mark.parametrize(
    ("statement", "field"),
    [
        ({"birth_date": "2999-01-01"}, "birth date"),
        ({"patient_id": "a\\b"}, "patient id"),
        ({"family_name": "Doe^Jane"}, "family name"),
        ({"region": "elsewhere"}, "region"),
        ({"accession_number": "1" * 17}, "accession number"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_statement_that_dicom_cannot_hold_is_refused_by_name(browser: Browser, statement: dict[str, str], field: str) -> None:
    reply = begin(browser, {"name": "a.jpg", "size": 5}, **statement)
    assert reply.status_code == 422
    assert reply.json()["message"].lower().startswith(field)
    assert "Jane" not in reply.text


def test_uploads_are_no_way_around_back_pressure(browser: Browser, database: Database) -> None:
    begun = begin(browser, {"name": "a.jpg", "size": 5}).json()
    run(database, "INSERT INTO alerts (kind, subject, details) VALUES ('receive.paused', 'disk', '{}')")
    piece = send(browser, f"/uploads/{begun['id']}/files/{begun['files'][0]['id']}", 0, b"x")
    for reply, said in (
        (begin(browser, {"name": "b.jpg", "size": 5}), "The node accepts no images at the moment: the disk is nearly full."),
        (piece, "The node accepts no images at the moment: the disk is nearly full. The upload goes on by itself."),
    ):
        assert (reply.status_code, reply.headers["retry-after"], reply.json()["message"]) == (503, "10", said)


def test_uploads_are_refused_where_the_listener_reads_another_folder(browser: Browser, database: Database, data_dir: Path) -> None:
    record_heartbeat(database, "listen", "other:1", {DETAIL: "another folder"})
    refused = begin(browser, {"name": "a.dcm", "size": 5})
    assert (refused.status_code, "upload.folder" in refused.json()["message"]) == (503, True), refused.text
    record_heartbeat(database, "listen", "here:1", {DETAIL: folder_name(data_dir / "uploads")})
    assert begin(browser, {"name": "a.dcm", "size": 5}).status_code == 201
    run(database, "DELETE FROM heartbeats WHERE role = 'listen'")


def test_a_user_may_have_so_much_waiting_and_can_cancel_it(browser: Browser, database: Database) -> None:
    begun = begin(browser, {"name": "a.jpg", "size": 5}).json()
    run(database, f"UPDATE upload_files SET size_bytes = {16 << 30}")
    refused = begin(browser, {"name": "b.jpg", "size": 5})
    assert (refused.status_code, "16384 MB" in refused.json()["message"]) == (413, True)
    browser.open(f"/uploads/{begun['id']}")
    assert browser.send_form(f"/uploads/{begun['id']}/cancel").status_code == 303
    assert begin(browser, {"name": "b.jpg", "size": 5}).status_code == 201


def test_nobody_reads_or_writes_the_upload_of_another_person(browser: Browser, console: RunningConsole) -> None:
    begun = begin(browser, {"name": "Jane Doe.jpg", "size": 5}).json()
    path = f"/uploads/{begun['id']}/files/{begun['files'][0]['id']}"
    with console.browser("admin") as other:
        other.open("/upload")
        assert other.get(f"/uploads/{begun['id']}").status_code == 404
        assert other.get(path).status_code == 404
        assert send(other, path, 0, b"x").status_code == 404
        other.send_form(f"/uploads/{begun['id']}/cancel")
    assert browser.get(path).json()["state"] == "receiving"
    forged = browser.post(path, content=b"x", headers={"Origin": str(browser.base_url).rstrip("/"), "Upload-Offset": "0"})
    assert forged.status_code == 403, "no form token"
