"""``patients erase``: nothing of the person is left, everything of others is, the audit chain verifies, and a kill changes none of this."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.failpoints import set_watcher
from core.states import UnitKind
from db.blobs.store import Blobs
from db.commitment.source_requests import record_source_request
from db.deliveries import delivery_leases
from db.engine import Database
from db.receive import admission
from deploy.cli.main import run
from tests.support.erasures import (
    BOB,
    ERNA,
    NAMESAKE,
    REASON,
    assert_counts_are_true,
    assert_nothing_is_left,
    erase,
    erase_arguments,
    every_row,
    store_erna,
)
from tests.support.patients import StoredStudy, receive_images, refuse_image, store_study, verify_trail
from tests.support.records import Sender, claim, complete, header, plan, rows, scalar
from tests.support.records import run as execute

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[4]
KILLED = """
import os, signal, sys
from core.failpoints import set_watcher
from deploy.cli.main import run

left = int(sys.argv[2])

def kill_at_label(label, _subject):
    global left
    if label == sys.argv[1]:
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

set_watcher(kill_at_label)
sys.exit(run(sys.argv[3:]))
"""


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_of_the_person_goes_and_everything_of_others_stays(
    database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = store_erna(database, blobs, 701, contents=(b"in both studies", b"hers alone"))
    second = store_erna(database, blobs, 702)
    other = store_study(database, blobs, 900, BOB, contents=(b"in both studies", b"his alone"))
    refuse_image(database, blobs, ERNA)
    stays = refuse_image(database, blobs, BOB)
    listed = [("1.2", f"{first.uid}.1"), ("1.2", f"{other.uid}.1")]
    for number, instances in enumerate((listed, listed[:1])):
        request = record_source_request(database, source="PACS", transaction_uid=f"1.9.{number}", instances=instances, reserve_s=0)
        execute(database, f"UPDATE source_commitment_requests SET state = 'answered' WHERE id = {request}")
    execute(database, "INSERT INTO users (name, role, password_hash) VALUES ('reader', 'viewer', 'x')")
    for query in ("q=erase-4711", "q=Sample+Erna&state=open", f"q={BOB.patient_id}"):
        execute(database, f"INSERT INTO saved_views (user_id, name, query) SELECT id, '{query}', '{query}' FROM users")
    execute(database, "INSERT INTO uploads (actor, statement, finished_at) VALUES ('user:reader', '{}', node_now())")
    execute(
        database,
        "INSERT INTO upload_files (upload_id, ordinal, name, size_bytes, state, studies)"
        f" SELECT id, 1, 'Sample Erna.dcm', 5, 'done', ARRAY[{first.id}]::bigint[] FROM uploads",
    )
    units = [str(unit) for (unit,) in rows(database, "SELECT id FROM units ORDER BY id")]
    for unit in units:
        (tmp_path / "data" / "viewer-cache" / f"unit-{unit}-abc").mkdir(parents=True)
    assert erase(config) == 0
    err = capsys.readouterr().err
    assert f"{first.uid}" in err
    for sentence in ("2 result objects are held by pacs", "received as new", "the audit trail keeps its events and is not rewritten"):
        assert sentence in err, sentence
    lost_only_hers = StoredStudy(first.id, first.uid, first.job_id, first.images[1:], first.result)
    assert_nothing_is_left(database, blobs, lost_only_hers, second)
    assert other.kept(blobs) == (2, True)
    assert rows(database, "SELECT sop_instance_uids FROM source_commitment_requests") == [([f"{other.uid}.1"],)]
    assert rows(database, "SELECT query FROM saved_views") == [(f"q={BOB.patient_id}",)]
    assert rows(database, "SELECT id FROM quarantine") == [(stays,)]
    assert scalar(database, "SELECT count(*) FROM uploads") == 0
    (outlines,) = rows(database, "SELECT sha256 FROM result_overlays")
    assert blobs.path(str(outlines[0])).exists(), "his result has the same ones"
    assert [path.name for path in (tmp_path / "data" / "viewer-cache").iterdir()] == [f"unit-{units[-1]}-abc"]
    assert_counts_are_true(database)
    events = rows(
        database, "SELECT action, details ->> 'patient', details ->> 'reason' FROM audit_events WHERE subject LIKE 'erasure:%' ORDER BY id"
    )
    assert events == [(f"patient.{word}", ERNA.reference(database), REASON) for word in ("erasure_begun", "erased")]
    (deleted,) = rows(database, "SELECT details -> 'deleted' FROM audit_events WHERE action = 'patient.erased'")
    expected = {"studies": 2, "series": 2, "units": 2, "images": 4, "analyses": 2, "findings": 2, "objects": 2, "overlays": 2}
    expected |= {"deliveries": 2, "verdicts": 2, "quarantined": 1, "uploaded_files": 1, "commitment_requests": 2, "saved_searches": 2}
    assert deleted[0] == expected | {"files": 9, "bytes": deleted[0]["bytes"]}  # type: ignore[index]
    verify_trail(database)
    assert run(["audit", "verify", "--config", str(config)]) == 0


def test_what_is_sent_again_is_received_as_new(database: Database, blobs: Blobs, config: Path) -> None:
    study = store_erna(database, blobs, 701)
    assert erase(config) == 0
    receive_images(database, blobs, 701, ERNA, (f"image {study.uid} 1".encode(),))
    assert rows(database, "SELECT state, held, revision FROM units") == [("open", 1, 1)]
    assert blobs.path(study.images[0].sha256).exists()


def test_the_same_id_of_another_issuer_stays(database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_erna(database, blobs, 701)
    other = store_study(database, blobs, 702, NAMESAKE)
    assert erase(config) == 2
    assert "give --issuer" in capsys.readouterr().err
    assert erase(config, "--issuer", "") == 0
    assert rows(database, "SELECT issuer_of_patient_id FROM studies") == [("HOSPITAL B",)]
    assert other.kept(blobs) == (2, True)
    assert erase(config, "--issuer", "HOSPITAL B") == 0
    assert other.kept(blobs) == (0, False)


def test_a_dry_run_changes_nothing_and_says_what_would_go(
    database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_erna(database, blobs, 701)
    refuse_image(database, blobs, ERNA)
    before = every_row(database), _files(tmp_path)
    assert run(erase_arguments(config, "--dry-run")) == 0
    assert "would be deleted" in capsys.readouterr().err
    assert run(erase_arguments(config, "--dry-run", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["planned"]["images"], found["planned"]["quarantined"], found["erased"]) == (2, 1, None)
    (sent,) = found["sent"]
    assert (sent["destination"], sent["kind"], sent["study_instance_uid"]) == ("pacs", "sr", study.uid)
    assert (every_row(database), _files(tmp_path)) == before


LABELS = [
    *(("erase.begun", 0), ("erase.written", 0), ("erase.written", 2), ("erase.committed", 0), ("erase.committed", 1)),
    *(("erase.committed", 3), ("erase.emptied", 0), ("erase.removed", 0)),
]


@pytest.mark.parametrize(("label", "times"), LABELS)
def test_killed_and_continued(
    label: str, times: int, database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = [store_erna(database, blobs, number, NAMESAKE) for number in (701, 702)]
    other = store_study(database, blobs, 900, BOB)
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), label, str(times), *erase_arguments(config, "--reason", REASON, "--yes")]
    assert subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False).returncode == -9
    assert rows(database, "SELECT finished_at FROM erasures") == [(None,)]
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'patient.erased'") == 0
    assert erase(config) == 0
    err = capsys.readouterr().err
    assert "was interrupted: it is continued" in err
    assert "2 result objects are held by pacs" in err, "also those whose rows were gone before"
    assert_nothing_is_left(database, blobs, *studies)
    assert other.kept(blobs) == (2, True)
    assert_counts_are_true(database)
    ((deleted,),) = rows(database, "SELECT details -> 'deleted' FROM audit_events WHERE action = 'patient.erased'")
    assert {what: deleted[what] for what in ("studies", "images", "analyses", "files")} == {  # type: ignore[index]
        "studies": 2, "images": 4, "analyses": 2, "files": 8,
    }  # fmt: skip
    assert rows(database, "SELECT sent, finished_at IS NULL FROM erasures") == [([], False)]
    verify_trail(database)
    assert erase(config) == 1
    assert "nothing is stored of this person" in capsys.readouterr().err


def _running(database: Database, blobs: Blobs) -> None:
    receive_images(database, blobs, 701, ERNA, (b"one",))
    complete(database, plan(), study="1.2.3.701")
    claim(database)


def _queued(database: Database, blobs: Blobs) -> None:
    receive_images(database, blobs, 701, ERNA, (b"one",))
    complete(database, plan(), study="1.2.3.701")


def _incomplete(database: Database, blobs: Blobs) -> None:
    receive_images(database, blobs, 701, ERNA, (b"one",))


def _pending(database: Database, blobs: Blobs) -> None:
    store_erna(database, blobs, 701, deliver=False)


def _sending(database: Database, blobs: Blobs) -> None:
    store_erna(database, blobs, 701, deliver=False)
    delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=1)


def _awaiting_commitment(database: Database, blobs: Blobs) -> None:
    store_erna(database, blobs, 701)
    execute(database, "UPDATE deliveries SET commit_wanted = true")


def _assessment(database: Database, blobs: Blobs) -> None:
    store_erna(database, blobs, 701)
    execute(database, "UPDATE assessments SET state = 'queued'")


@pytest.mark.parametrize(
    ("prepare", "expected", "can_be_cancelled"),
    [
        (_running, "1 analyses that run", False),
        (_sending, "1 deliveries that are being sent", False),
        (_queued, "1 analyses that wait", True),
        (_incomplete, "1 series or images that are not complete", True),
        (_pending, "1 deliveries that wait", True),
        (_assessment, "1 assessments that wait", True),
        (_awaiting_commitment, "1 deliveries that wait for storage commitment", True),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_work_with_the_data_is_not_disturbed(
    prepare: Callable[[Database, Blobs], None], expected: str, can_be_cancelled: bool, database: Database, blobs: Blobs, config: Path,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    prepare(database, blobs)
    before = every_row(database), _files(tmp_path)
    assert erase(config) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert expected in last
    assert ("--cancel" in last) == can_be_cancelled
    assert (every_row(database), _files(tmp_path)) == before
    assert erase(config, "--cancel") == (0 if can_be_cancelled else 1)
    assert (scalar(database, "SELECT count(*) FROM instances") == 0) == can_be_cancelled
    if can_be_cancelled:
        assert scalar(database, "SELECT count(*) FROM studies") == 0
        assert_counts_are_true(database)


def test_an_image_that_comes_during_the_erasure_stops_it_and_it_can_be_continued(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_erna(database, blobs, 701)
    came: list[str] = []

    def receive_more(label: str, _subject: str) -> None:
        if label == "erase.committed" and not came:
            came.append(label)
            head = header(9, series=study.uid, study=study.uid, patient_id=ERNA.patient_id)
            ref = blobs.put(b"late")
            sender = Sender(database)
            admission.admit_instance(database, header=head, blob=ref, kind=UnitKind.SERIES, association_id=sender.id, source="PACS")

    set_watcher(receive_more)
    try:
        assert erase(config) == 1
    finally:
        set_watcher(None)
    assert "an image of this person was received meanwhile" in capsys.readouterr().err
    assert scalar(database, "SELECT finished_at IS NULL FROM erasures") is True
    assert erase(config) == 1, "it waits for the rest of its series"
    assert erase(config, "--cancel") == 0
    assert_nothing_is_left(database, blobs, study)
    verify_trail(database)


def test_an_upload_that_waits_is_erased_with_its_bytes(
    database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statement = json.dumps({"patient_id": ERNA.patient_id, "patient_name": "Sample^Erna"})
    execute(database, f"INSERT INTO uploads (actor, statement) VALUES ('user:reader', '{statement}')")
    execute(
        database,
        "INSERT INTO upload_files (upload_id, ordinal, name, size_bytes, state) SELECT id, 1, 'a.jpg', 5, 'received' FROM uploads",
    )
    file = tmp_path / "data" / "uploads" / str(scalar(database, "SELECT id FROM upload_files"))
    file.parent.mkdir(parents=True)
    file.write_bytes(b"bytes")
    assert erase(config) == 1
    assert "1 uploaded files that wait" in capsys.readouterr().err
    assert erase(config, "--cancel") == 0
    assert not file.exists()
    assert_nothing_is_left(database, blobs)


def test_a_refused_data_set_that_cannot_be_read_is_erased_by_its_number(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_erna(database, blobs, 701)
    hers, unknown = (refuse_image(database, blobs, ERNA, content=content) for content in (b"no data set, of ERASE-4711", b"no data set"))
    assert run(erase_arguments(config, "--dry-run")) == 0
    assert f"do not say whose they are stay: {hers}, {unknown}" in capsys.readouterr().err
    assert erase(config, "--quarantined", str(hers)) == 0
    assert rows(database, "SELECT id FROM quarantine") == [(unknown,)]


def test_images_of_another_person_in_the_study_are_erased_on_purpose_only(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_erna(database, blobs, 701)
    execute(database, f"UPDATE instances SET header = header || '{{\"patient_id\": \"P-9\"}}' WHERE sop_instance_uid = '{study.uid}.2'")
    assert erase(config) == 1
    assert "1 image of these studies names another person" in capsys.readouterr().err
    assert study.kept(blobs) == (2, True)
    assert erase(config, "--whole-studies") == 0
    assert study.kept(blobs) == (0, False)


@pytest.mark.parametrize("reason", ["asked by Erna", "ID erase-4711", "wish of Sample"])
def test_a_reason_that_names_the_person_is_refused(
    reason: str, database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_erna(database, blobs, 701)
    assert erase(config, reason=reason) == 2
    assert "the reason names the person" in capsys.readouterr().err
    assert scalar(database, "SELECT count(*) FROM studies") == 1


def test_wrong_usage(database: Database, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(erase_arguments(config, "--yes")) == 2
    assert "a reason is missing" in capsys.readouterr().err
    assert run(erase_arguments(config, "--reason", REASON)) == 2
    assert "nobody can be asked for confirmation" in capsys.readouterr().err
    assert erase(config) == 1
    assert "nothing is stored of this person" in capsys.readouterr().err
    assert scalar(database, "SELECT count(*) FROM audit_events") == 0


def test_verdicts_of_others_stay_protected(database: Database, blobs: Blobs, config: Path) -> None:
    store_erna(database, blobs, 701)
    store_study(database, blobs, 900, BOB)
    with database.begin() as connection:
        statement = "INSERT INTO erasures (patient, issuer, actor, reason, studies) SELECT 'x', '', 'x', 'x', array_agg(id) FROM studies"
        connection.execute(text(f"{statement} WHERE patient_id = '{ERNA.patient_id}'"))
    with pytest.raises(DBAPIError, match="append-only"):
        execute(database, "DELETE FROM verdicts")
    execute(database, "UPDATE erasures SET finished_at = node_now()")
    with pytest.raises(DBAPIError, match="append-only"):
        execute(database, "DELETE FROM verdicts WHERE job_id = (SELECT min(id) FROM jobs)")
