"""Hostile files and too many attempts over real sockets: zip bombs, wrong names, paths, script in names, too many bytes, guessing."""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.settings.node import NodeSection
from core.settings.settings import Settings
from db.accounts import sign_in_limits
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.upload.conversions import MOST_ENTRIES
from dicom_node.upload.upload_receiver import UploadReceiver
from tests.support.console import PASSWORD, Browser, RunningConsole, add_users
from tests.support.node_process import wait_until
from tests.support.records import rows, scalar
from tests.support.zip_archives import zip_archive

SCRIPT = "\"'><script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n"


def _same_bytes_under_many_names(names: int) -> bytes:
    """An archive whose list names one entry again and again (PKWARE APPNOTE 4.3.12): small, and large when it is unpacked."""
    content = zip_archive({"a.dcm": bytes(range(256)) * 4096})
    begin, end = content.index(b"PK\x01\x02"), content.rindex(b"PK\x05\x06")
    listed = content[begin:end] * names
    return content[:begin] + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, names, names, len(listed), begin, 0)


def _encrypted() -> bytes:
    content = bytearray(zip_archive({"a.dcm": bytes(200)}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0: encrypted (APPNOTE 4.4.4)
        content[content.index(signature) + flags] |= 1
    return bytes(content)


@cache
def hostile() -> dict[str, tuple[bytes, str]]:
    """Content of each file by its name, and words of the reason why it is refused."""
    return {
        "bomb.zip": (zip_archive({"a.dcm": bytes(70 << 20)}), "times its size"),
        "outside.zip": (zip_archive({"../../../evil.jpg": b"x", "/etc/cron.d/evil": b"x"}), "outside"),
        "same-bytes.zip": (_same_bytes_under_many_names(9_000), "unpacks to"),
        "entries.zip": (zip_archive({f"{number}.dcm": b"" for number in range(MOST_ENTRIES + 1)}), f"{MOST_ENTRIES + 1} entries"),
        "nested.zip": (
            zip_archive({"inner.zip": zip_archive({"inner.zip": zip_archive({"a.dcm": bytes(1 << 20)})})}),
            "archive within an archive",
        ),
        "locked.zip": (_encrypted(), "password"),
        "no-list.zip": (zip_archive({"a.dcm": bytes(200)})[:-30], "damaged or cut short"),
        "page.jpg": (b"<html><script>alert(1)</script>", "named as JPEG"),
        "picture.jpg": (PNG + bytes(50), "its content is PNG"),
        "program.dcm": (b"\x7fELF" + bytes(200), "DICOM"),
        f"{SCRIPT}.jpg": (b"GIF89a", "named as JPEG"),
        "../../../evil.png": (b"x" * 20, "named as PNG"),
        "a.png\r\nSet-Cookie: evil=1": (b"x" * 20, ""),
    }


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    add_users(module_database)
    return module_database


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node") / "data"


@pytest.fixture(scope="module")
def console(database: Database, data_dir: Path) -> Iterator[RunningConsole]:
    """The console, and the listener's part that takes uploads."""
    data_dir.mkdir()
    settings = Settings(node=NodeSection(data_dir=data_dir))
    with RunningConsole(database, data_dir) as running, UploadReceiver(settings, database, Blobs(data_dir / "blobs"), lambda: ""):
        yield running


def _headers(browser: Browser, **more: str) -> dict[str, str]:
    return {"Origin": str(browser.base_url).rstrip("/"), "X-Form-Token": browser.form_token, **more}


def _announce(browser: Browser, *files: dict[str, Any]) -> httpx.Response:
    return browser.post("/upload", json={"files": list(files), "statement": {}}, headers=_headers(browser))


def _send(browser: Browser, upload: int, file: int, content: bytes) -> httpx.Response:
    headers = _headers(browser, **{"Upload-Offset": "0", "Content-Type": "application/octet-stream"})
    return browser.post(f"/uploads/{upload}/files/{file}", content=content, headers=headers)


def test_hostile_files_are_refused_in_words_and_leave_nothing(console: RunningConsole, database: Database, data_dir: Path) -> None:
    with console.browser("clinician") as browser:
        begun = _announce(browser, *({"name": name, "size": len(content)} for name, (content, _) in hostile().items())).json()
        for file, (content, _) in zip(begun["files"], hostile().values(), strict=True):
            assert _send(browser, begun["id"], file["id"], content).status_code == 200
        finished = f"SELECT finished_at IS NOT NULL FROM uploads WHERE id = {begun['id']}"
        wait_until("the listener has looked at every file", lambda: scalar(database, finished), every_s=0.1)
        page = browser.get(f"/uploads/{begun['id']}")
    found = rows(database, "SELECT state, instances, message, problems::text FROM upload_files ORDER BY id")
    for (state, instances, message, problems), (name, (_, words)) in zip(found, hostile().items(), strict=True):
        assert (state, instances) == ("refused", 0), name
        assert words in f"{message}{problems}", (name, message, problems)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text, "the names are shown, as text"
    assert "set-cookie" not in page.headers
    assert scalar(database, "SELECT count(*) FROM studies") == 0
    assert list((data_dir / "uploads").iterdir()) == []
    assert [path.name for path in data_dir.parent.iterdir()] == ["data"]
    assert not [path for path in data_dir.rglob("*") if "evil" in path.name]


def test_more_bytes_than_announced_are_neither_taken_nor_kept(console: RunningConsole, data_dir: Path) -> None:
    with console.browser("clinician") as browser:
        begun = _announce(browser, {"name": "a.dcm", "size": 100}, {"name": "b.jpg", "size": 17 << 20}, {"name": "c.dcm", "size": 1 << 45})
        small, photograph, huge = begun.json()["files"]
        assert _send(browser, begun.json()["id"], small["id"], bytes(5 << 20)).status_code == 409
        assert browser.get(f"/uploads/{begun.json()['id']}/files/{small['id']}").json()["offset"] <= 100
        for file in (photograph, huge):
            assert file["state"] == "refused"
            assert _send(browser, begun.json()["id"], file["id"], bytes(100)).status_code == 409
        for wrong in ({"name": "a.dcm", "size": -1}, {"name": "", "size": 5}, {"name": "a.dcm", "size": "1e9"}, {"name": "a.dcm"}):
            assert _announce(browser, wrong).status_code == 422
        assert sum(path.stat().st_size for path in (data_dir / "uploads").iterdir()) <= 100
        assert browser.send_form(f"/uploads/{begun.json()['id']}/cancel").status_code == 303


def test_an_address_that_guesses_is_locked_whatever_it_says_about_itself(
    console: RunningConsole, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign_in_limits, "MOST_PER_ADDRESS", 8)
    with console.browser() as attacker:
        statuses = []
        for number in range(9):
            attacker.headers["X-Forwarded-For"] = f"10.0.0.{number}"
            attacker.headers["Forwarded"] = f"for=10.0.0.{number}"
            statuses.append(attacker.sign_in(f"user{number}", "guessed").status_code)
        assert statuses == [401] * 8 + [429]
        assert attacker.sign_in("admin", PASSWORD).status_code == 429, "also with the right password"
    failures = rows(database, "SELECT DISTINCT details ->> 'from' FROM audit_events WHERE action = 'sign_in.failed'")
    assert failures == [("127.0.0.1",)]
