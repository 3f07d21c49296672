"""Which errors count as an attempt: not those of the store of the blobs, but those that no transport foresaw."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from db.blobs.open_blobs import open_blobs
from db.blobs.store import Blobs
from db.engine import Database
from dicom_node.deliver import folder
from tests.dicom_node.conftest import MakeSettings
from tests.support.records import rows, scalar
from tests.support.seaweed import SeaweedFs
from tests.support.send_role import QUICK_RETRIES, delivery_states, destination, running_sender, wait_for
from tests.support.storage_scp import Pacs, running


def test_no_attempt_is_counted_while_the_store_of_the_blobs_does_not_answer(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str], seaweed: SeaweedFs, tmp_path: Path
) -> None:
    """An outage of the store longer than all attempts failed every delivery."""
    make_report("pacs")
    stored = seaweed.section(url="s3://blobs/deliveries", timeout_s=1.0)
    open_blobs(make_settings(store=stored.model_dump())).put(blobs.read(str(scalar(database, "SELECT sha256 FROM reports"))))
    seaweed.kill()
    with running(Pacs()) as pacs:
        store = {**stored.model_dump(), "cache_folder": tmp_path / "of the sender"}  # without the copy
        settings = make_settings(destinations=[destination(pacs.port)], delivery={**QUICK_RETRIES, "max_attempts": 1}, store=store)
        with running_sender(settings, database, open_blobs(settings)):
            wait_for(lambda: rows(database, "SELECT count(*) > 1 FROM delivery_attempts WHERE result = 'retry'") == [(True,)])
            ((_, state, _, note, attempts),) = delivery_states(database)
            assert (state in ("pending", "sending"), attempts <= 1, "cannot be read" in note) == (True, True, True)
            seaweed.start()
            wait_for(lambda: delivery_states(database)[0][1] == "stored")


def test_an_error_that_no_transport_foresaw_counts_as_an_attempt_of_its_object(
    database: Database,
    blobs: Blobs,
    make_settings: MakeSettings,
    make_report: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its lease was lost each time, with those of the objects that were claimed together, without end."""
    structlog.reset_defaults()
    first, second = make_report("share"), make_report("share")
    write = folder._write

    def write_or_raise(into: Path, name: str, content: bytes) -> None:
        if name == folder.file_name(first):
            raise KeyError("Doe^Jane")
        write(into, name, content)

    monkeypatch.setattr(folder, "_write", write_or_raise)
    share = {"name": "share", "folder": tmp_path, "accept_research": True}
    with running_sender(make_settings(destinations=[share], delivery={**QUICK_RETRIES, "max_attempts": 2}), database, blobs):
        wait_for(lambda: [row[1] for row in delivery_states(database)] == ["failed", "stored"])
    assert "failed after 2 attempts: sending failed unexpectedly: KeyError" in delivery_states(database)[0][3]
    assert (tmp_path / folder.file_name(second)).is_file()
    said = capfd.readouterr()
    assert "sending_failed_unexpectedly" in said.out + said.err
    assert "Doe" not in said.out + said.err


def test_each_attempt_is_logged_at_level_debug(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    structlog.reset_defaults()
    make_report("pacs")
    with (
        capture_logs() as logged,
        running(Pacs()) as pacs,
        running_sender(make_settings(destinations=[destination(pacs.port)], delivery=QUICK_RETRIES), database, blobs),
    ):
        wait_for(lambda: delivery_states(database)[0][1] == "stored")
    events = {entry["event"]: entry for entry in logged}
    assert events["deliveries_claimed"]["count"] == 1
    assert "Comprehensive 3D SR Storage: Explicit VR Little Endian" in events["destination_associated"]["accepted"]
    sent = events["object_sent"]
    assert (sent["destination"], sent["kind"], sent["attempt"], sent["outcome"], sent["status_hex"]) == ("pacs", "sr", 1, "stored", "0000")
    assert sent["bytes"] > 0


def test_why_nothing_was_sent_is_logged_at_level_debug(
    database: Database, blobs: Blobs, make_settings: MakeSettings, make_report: Callable[..., str]
) -> None:
    structlog.reset_defaults()
    make_report("pacs")
    with running(Pacs()) as pacs:
        port = pacs.port
    with capture_logs() as logged, running_sender(make_settings(destinations=[destination(port)], delivery=QUICK_RETRIES), database, blobs):
        wait_for(lambda: any(entry["event"] == "delivery_put_back" for entry in logged))
    events = {entry["event"]: entry for entry in logged}
    assert f"no connection to PACS at 127.0.0.1:{port}" in events["destination_not_associated"]["reason"]
    assert events["object_not_sent"]["reason"] == events["delivery_put_back"]["reason"] == events["destination_not_associated"]["reason"]
