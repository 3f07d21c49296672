"""Uploaded files are stored as if they had come by C-STORE: none is lost or doubled, and what cannot be stored is named."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import text

from core.errors import OutOfResources
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.uploads import upload_claims
from db.uploads.upload_records import AnnouncedFile, FileResult, Upload
from db.uploads.uploads import begin_upload, read_upload, record_piece
from deploy.demo.synthetic.lesion import make_lesion
from dicom_node.upload.converter import Converter
from dicom_node.upload.upload_receiver import UploadReceiver
from dicom_node.upload.uploaded_file import UploadedFileReader
from tests.dicom_node.conftest import MakeSettings
from tests.support.node_process import wait_until
from tests.support.open_files import limited_files
from tests.support.records import rows
from tests.support.series import encoded, image
from tests.support.zip_archives import zip_archive

Deliver = Callable[..., Upload]
WHO = "user:clinician"


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(upload={"max_unpacked_bytes": 100 << 20})


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    """One child process for all tests: its start takes seconds."""
    with Converter() as shared:
        yield shared


@pytest.fixture
def receiver(settings: Settings, database: Database, blobs: Blobs, converter: Converter) -> Iterator[UploadReceiver]:
    """A receiver whose steps the test calls."""
    made = UploadReceiver(settings, database, blobs, lambda: "", converter)
    yield made
    made.stop()


@pytest.fixture
def deliver(settings: Settings, database: Database, receiver: UploadReceiver) -> Deliver:
    """Uploads files (name to content) and has the receiver take them."""

    def go(files: dict[str, bytes], **statement: str) -> Upload:
        upload = put(settings, database, files, **statement)
        while receiver.step() == 0.0:
            pass
        found = read_upload(database, upload.id, actor=WHO)
        assert found is not None
        return found

    return go


def put(settings: Settings, database: Database, files: dict[str, bytes], **statement: str) -> Upload:
    """Upload files without having them taken."""
    announced = [AnnouncedFile(name, len(content)) for name, content in files.items()]
    upload = begin_upload(database, actor=WHO, address="127.0.0.1", statement=statement, files=announced)
    for row, content in zip(upload.files, files.values(), strict=True):
        (settings.uploads_dir / str(row.id)).write_bytes(content)
        record_piece(database, row.id, complete=True)
    return upload


def photograph(seed: int = 3, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_lesion(seed, size=(90, 120)).jpeg)).save(out, kind)
    return out.getvalue()


def slices(count: int) -> dict[str, bytes]:
    return {f"CT/IM{number:04}": encoded(image(number=number)) for number in range(1, count + 1)}


def test_photographs_and_dicom_files_of_one_upload_are_stored(deliver: Deliver, database: Database, settings: Settings) -> None:
    files = {"a.jpg": photograph(), "b.png": photograph(4, "PNG"), "one.dcm": encoded(image())}
    upload = deliver(files, patient_id="P-1", patient_name="Doe^Jane", kind="dermoscopy", region="cheek-L")
    assert [(file.state, file.instances, file.known, file.message) for file in upload.files] == [("done", 1, 0, "")] * 3
    assert upload.finished_at is not None
    assert len(upload.studies) == 2
    assert rows(database, "SELECT DISTINCT source FROM instances") == [("CONSOLE",)]
    found = rows(database, "SELECT patient_id, patient_name FROM studies ORDER BY id LIMIT 1")
    assert found == [("P-1", "Doe^Jane")]
    wait_until("the association is closed", lambda: rows(database, "SELECT end_reason FROM associations") == [("released",)], every_s=0.05)
    assert list(settings.uploads_dir.iterdir()) == []
    events = rows(database, "SELECT actor, action FROM audit_events WHERE action LIKE 'upload%' ORDER BY id")
    assert events == [(WHO, "upload.begun"), (WHO, "upload.finished")]


def test_the_same_bytes_again_store_nothing_and_lead_to_the_same_study(deliver: Deliver, database: Database) -> None:
    files = {"a.jpg": photograph(), "series.zip": zip_archive(slices(3))}
    first, second = deliver(files, patient_id="P-1"), deliver(files, patient_id="P-1")
    assert first.id != second.id
    assert [(file.instances, file.known) for file in second.files] == [(1, 1), (3, 3)]
    assert second.studies == first.studies
    assert rows(database, "SELECT count(*) FROM instances") == [(4,)]
    other = deliver({"a.jpg": photograph()}, patient_id="P-2")
    assert other.studies[0] not in first.studies, "the same picture of another patient is another instance"


def test_a_series_in_an_archive_is_one_unit_and_may_be_complete_at_once(deliver: Deliver, database: Database) -> None:
    upload = deliver({"series.zip": zip_archive({**slices(4), "DICOMDIR": b"x", "__MACOSX/._a": b"x", "CT/.DS_Store": b"x"})})
    assert (upload.files[0].instances, upload.files[0].problems) == (4, ())
    assert rows(database, "SELECT held FROM units") == [(4,)]


def test_what_an_archive_should_not_hold_is_named_and_the_rest_is_taken(deliver: Deliver, database: Database) -> None:
    entries = {
        "good.jpg": photograph(),
        "../../etc/cron.d/evil": b"x",
        "/absolute.jpg": photograph(5),
        "inner.zip": zip_archive({"a.jpg": photograph()}),
        "letter.txt": b"hello",
        "wrong.jpg": b"\x89PNG\r\n\x1a\n",
        "cut.jpg": photograph()[:900],
        "cut.dcm": encoded(image())[:-300],
    }
    file = deliver({"mixed.zip": zip_archive(entries)}).files[0]
    assert (file.state, file.instances) == ("done", 1)
    reasons = {problem.name: problem.message for problem in file.problems}
    assert reasons.keys() == entries.keys() - {"good.jpg"}
    for name, words in (
        ("../../etc/cron.d/evil", "outside"), ("/absolute.jpg", "outside"), ("inner.zip", "archive within an archive"),
        ("letter.txt", "neither DICOM"), ("wrong.jpg", "its content is PNG"), ("cut.jpg", "cut short"), ("cut.dcm", "cut short"),
    ):  # fmt: skip
        assert words in reasons[name], (name, reasons[name])


def test_a_file_that_cannot_be_taken_says_why_and_the_others_continue(deliver: Deliver) -> None:
    cases: dict[str, tuple[bytes, str]] = {
        "page.jpg": (b"<html>", "named as JPEG"),
        "lesion.png": (photograph(), "its content is JPEG"),
        "cut.jpg": (photograph()[:-400], "cut short"),
        "cut.dcm": (encoded(image())[:-300], "cut short"),
        "header.dcm": (encoded(image())[:600], "SeriesInstanceUID missing"),
        "head.dcm": (bytes(128) + b"DICM", "no DICOM data set"),
        "cut.zip": (zip_archive(slices(2))[:-30], "damaged or cut short"),
        "bomb.zip": (zip_archive({"a.dcm": bytes(70 << 20)}), "times its size"),
        "large.zip": (zip_archive({f"{number}.dcm": bytes(40 << 20) for number in range(3)}), "at most 100 MB"),
        "empty.zip": (zip_archive({}), "neither DICOM files nor photographs"),
        "nothing.dcm": (b"", "the file is empty"),
    }
    upload = deliver({name: content for name, (content, _) in cases.items()} | {"good.jpg": photograph()})
    for file, (name, (_, words)) in zip(upload.files, cases.items(), strict=False):
        assert (file.name, file.state, file.instances) == (name, "refused", 0)
        assert words in file.message, (name, file.message)
    assert upload.files[-1].state == "done"


def assert_stored_when_tried_again(receiver: UploadReceiver, database: Database, upload: Upload, said: str) -> None:
    """The file waits with its bytes and the message, is not counted as failed, and is stored by the next step that may take it."""
    assert rows(database, "SELECT state, attempts, message FROM upload_files") == [("received", 0, said)]
    with database.begin() as connection:
        connection.execute(text("UPDATE upload_files SET not_before = node_now()"))
    receiver.step()
    found = read_upload(database, upload.id, actor=WHO)
    assert found is not None
    assert (found.files[0].state, found.files[0].instances, found.files[0].message) == ("done", 1, "")


def test_an_upload_waits_while_the_process_that_opens_it_cannot_be_started(
    settings: Settings, database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Converter() as converter:
        receiver = UploadReceiver(settings, database, blobs, lambda: "", converter)
        upload = put(settings, database, {"a.jpg": photograph()})
        with monkeypatch.context() as broken:
            broken.setattr("sys.executable", "/no/such/program")
            receiver.step()
        said = "the process that opens uploads cannot be started: No such file or directory "
        said += "(is memory short, or are too many processes or files open? It is tried again)"
        assert_stored_when_tried_again(receiver, database, upload, said)
        receiver.stop()


def test_an_upload_whose_bytes_cannot_be_read_now_waits(settings: Settings, database: Database, receiver: UploadReceiver) -> None:
    upload = put(settings, database, {"one.dcm": encoded(image())})
    path = settings.uploads_dir / str(upload.files[0].id)
    content = path.read_bytes()
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a file that can be opened, and whose bytes give EIO
    receiver.step()
    path.unlink()
    path.write_bytes(content)
    said = "the upload cannot be read or unpacked now: Input/output error (see the disk of upload.folder; it is tried again)"
    assert_stored_when_tried_again(receiver, database, upload, said)


def test_a_child_that_cannot_read_or_write_now_refuses_no_file(converter: Converter, tmp_path: Path) -> None:
    identity = {"patient_id": "P-1", "study_instance_uid": "1.2.3"}
    place = {"series_instance_uid": "1.2.3.1", "sop_instance_uid": "1.2.3.1.1", "region": ""}
    with pytest.raises(OutOfResources, match="Input/output error"):
        converter.request("photograph", path="/proc/self/mem", target=str(tmp_path / "made"), identity=identity, place=place)
    archive = tmp_path / "a.zip"
    archive.write_bytes(zip_archive({"a.jpg": photograph()}))
    with pytest.raises(OutOfResources, match="No space left on device"):
        converter.request("extract", path=str(archive), number=0, target="/dev/full", max_bytes=1 << 20)
    converter.request("close", path=str(archive))


def test_a_child_for_which_no_pipe_can_be_made_refuses_no_file(tmp_path: Path) -> None:
    with Converter() as converter, limited_files() as limit:
        limit(1)
        with pytest.raises(OutOfResources, match="cannot be started: Too many open files"):
            converter.request("list", path=str(tmp_path / "a.zip"), max_bytes=1 << 20)


def test_uploads_wait_while_receiving_is_paused(settings: Settings, database: Database, blobs: Blobs, converter: Converter) -> None:
    pause = ["the disk is nearly full"]
    receiver = UploadReceiver(settings, database, blobs, lambda: pause[0], converter)
    upload = put(settings, database, {"a.jpg": photograph()})
    assert receiver.step() > 0
    pause[0] = ""
    assert receiver.step() == 0.0
    found = read_upload(database, upload.id, actor=WHO)
    assert found is not None
    assert found.files[0].state == "done"
    receiver.stop()


def test_a_file_of_a_listener_that_died_is_read_again_and_a_third_death_is_the_last(
    settings: Settings, database: Database, receiver: UploadReceiver
) -> None:
    upload = put(settings, database, {"a.jpg": photograph()})
    for _ in range(upload_claims.MOST_ATTEMPTS):
        assert upload_claims.claim_file(database, lease_s=240.0) is not None
        assert receiver.step() > 0, "another listener holds it"
        with database.begin() as connection:
            connection.execute(text("UPDATE upload_files SET lease_until = node_now() - interval '1 second'"))
    receiver.step()
    found = read_upload(database, upload.id, actor=WHO)
    assert found is not None
    assert (found.files[0].state, "failed 3 times" in found.files[0].message) == ("refused", True)


def test_the_bytes_of_a_file_that_another_listener_reads_now_are_kept(
    settings: Settings, database: Database, receiver: UploadReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = put(settings, database, {"slice.dcm": encoded(image())}).files
    read = UploadedFileReader.read

    def outlive_the_lease(*given: Any) -> FileResult:
        result = read(*given)
        with database.begin() as connection:
            connection.execute(text("UPDATE upload_files SET lease_until = node_now() - interval '1 second'"))
        assert upload_claims.claim_file(database, lease_s=240.0) is not None  # the other listener
        return result

    monkeypatch.setattr(UploadedFileReader, "read", outlive_the_lease)
    receiver.step()
    assert (settings.uploads_dir / str(file.id)).exists()
    assert rows(database, "SELECT state, attempts FROM upload_files") == [("taking", 2)]


def test_files_that_never_arrive_expire_and_their_bytes_are_removed(
    settings: Settings, database: Database, receiver: UploadReceiver
) -> None:
    upload = begin_upload(database, actor=WHO, address="::1", statement={}, files=[AnnouncedFile("a.jpg", 100)])
    piece = settings.uploads_dir / str(upload.files[0].id)
    piece.write_bytes(b"half")
    receiver.clean()
    assert piece.is_file()
    with database.begin() as connection:
        connection.execute(text("UPDATE upload_files SET changed_at = node_now() - interval '2 days'"))
    receiver.clean()
    assert not piece.exists()
    found = read_upload(database, upload.id, actor=WHO)
    assert found is not None
    assert (found.files[0].state, found.finished_at is not None) == ("expired", True)


def test_an_upload_that_is_announced_again_is_resumed(database: Database) -> None:
    files = [AnnouncedFile("a.jpg", 100, 7), AnnouncedFile("b.jpg", 200, 8)]
    first = begin_upload(database, actor=WHO, address="::1", statement={"patient_id": "1"}, files=files)
    assert begin_upload(database, actor=WHO, address="::1", statement={"patient_id": "1"}, files=files).id == first.id
    assert begin_upload(database, actor="user:admin", address="::1", statement={"patient_id": "1"}, files=files).id != first.id
    assert begin_upload(database, actor=WHO, address="::1", statement={"patient_id": "2"}, files=files).id != first.id
    assert read_upload(database, first.id, actor="user:admin") is None, "nobody reads another person's upload"
