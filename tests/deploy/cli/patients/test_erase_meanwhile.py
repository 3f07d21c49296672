"""``patients erase`` while the node works: what is sent, received or uploaded meanwhile, other erasures; and traces in lists."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier

import pytest

from core.errors import NodeError
from core.failpoints import set_watcher
from core.states import UnitKind
from db.blobs.store import Blobs
from db.commitment.source_requests import record_source_request
from db.engine import Database
from db.patients.erasure_plan import plan_erasure
from db.patients.patient_key import PatientKey
from db.receive import admission
from deploy.cli.main import run
from deploy.settings_file import load_settings
from dicom_node.erasure.run import run_erasure
from tests.support.erasures import BOB, ERNA, assert_counts_are_true, assert_nothing_is_left, erase, erase_arguments, store_erna
from tests.support.patients import refuse_commitment, refuse_image, store_study, verify_trail
from tests.support.records import Sender, deliver_all, header, rows, scalar
from tests.support.records import run as execute

pytestmark = pytest.mark.services


@contextmanager
def at(label: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something once, when an erasure has reached a failpoint."""
    done: list[str] = []

    def reached(reached_label: str, _subject: str) -> None:
        if reached_label == label and not done:
            done.append(label)
            act()

    set_watcher(reached)
    try:
        yield
    finally:
        set_watcher(None)
    assert done == [label]


def test_what_was_sent_since_the_plan_is_listed(database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = store_erna(database, blobs, 701, deliver=False)
    with at("erase.begun", lambda: deliver_all(database)):
        assert erase(config, "--cancel", "--json") == 0
    (sent,) = json.loads(capsys.readouterr().out)["sent"]
    assert (sent["destination"], sent["kind"], sent["study_instance_uid"]) == ("pacs", "sr", study.uid)


def test_what_a_destination_stored_and_did_not_commit_to_is_listed(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_erna(database, blobs, 701, deliver=False)
    refuse_commitment(database)
    assert rows(database, "SELECT state, stored_at FROM deliveries") == [("failed", None)]
    assert erase(config, "--json") == 0
    assert [sent["destination"] for sent in json.loads(capsys.readouterr().out)["sent"]] == ["pacs"]


def test_what_a_sender_that_was_lost_may_have_sent_is_listed(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_erna(database, blobs, 701, deliver=False)
    execute(
        database,
        "INSERT INTO delivery_attempts (delivery_id, number, sender, token, result)"
        " SELECT id, 1, 's', gen_random_uuid(), 'lost' FROM deliveries",
    )
    assert run_json(config, capsys)["sent"] != []
    execute(database, "UPDATE delivery_attempts SET result = 'retry'")
    assert run_json(config, capsys)["sent"] == []


def run_json(config: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What a dry run prints for programs."""
    capsys.readouterr()
    assert run(erase_arguments(config, "--dry-run", "--json")) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_an_image_of_another_person_that_comes_into_the_study_is_not_erased_with_it(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its sender got Success, and nobody has looked at it: not even with --cancel."""
    study = store_erna(database, blobs, 701)

    def receive() -> None:
        head = header(9, series=study.uid, study=study.uid, patient_id="P-9")
        admission.admit_instance(
            database, header=head, blob=blobs.put(b"of P-9"), kind=UnitKind.SERIES, association_id=Sender(database).id, source="PACS"
        )

    with at("erase.begun", receive):
        assert erase(config, "--cancel") == 1
    assert "an image that names another person was received meanwhile" in capsys.readouterr().err
    assert study.kept(blobs) == (2, True)
    assert erase(config, "--cancel") == 1, "the next plan shows it"
    assert "1 image of these studies names another person" in capsys.readouterr().err
    assert erase(config, "--cancel", "--whole-studies") == 0
    assert_nothing_is_left(database, blobs, study)


def test_a_file_that_is_uploaded_meanwhile_is_not_erased_unasked(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_erna(database, blobs, 701)
    statement = json.dumps({"patient_id": ERNA.patient_id})

    def upload() -> None:
        execute(database, f"INSERT INTO uploads (actor, statement) VALUES ('user:reader', '{statement}')")
        execute(
            database,
            "INSERT INTO upload_files (upload_id, ordinal, name, size_bytes, state) SELECT id, 1, 'a.jpg', 5, 'received' FROM uploads",
        )

    with at("erase.begun", upload):
        assert erase(config) == 1
    assert "a file of this person was uploaded meanwhile" in capsys.readouterr().err
    assert scalar(database, "SELECT count(*) FROM upload_files") == 1
    assert erase(config, "--cancel") == 0
    assert_nothing_is_left(database, blobs, study)


def test_the_removals_of_another_erasure_do_not_keep_this_one_open(database: Database, blobs: Blobs, config: Path) -> None:
    study = store_erna(database, blobs, 701)
    request = f"INSERT INTO blob_removals (sha256, size_bytes) VALUES ('{'f' * 64}', 1)"
    with at("erase.removed", lambda: execute(database, request)):
        assert erase(config) == 0
    assert scalar(database, "SELECT finished_at IS NOT NULL FROM erasures") is True
    assert study.kept(blobs) == (0, False)


def test_two_erasures_of_one_person_at_once(database: Database, blobs: Blobs, config: Path) -> None:
    studies = [store_erna(database, blobs, number) for number in (701, 702, 703)]
    other = store_study(database, blobs, 900, BOB)
    settings, plan, both = load_settings(config), plan_erasure(database, ERNA), Barrier(2)

    def erase_at_once(_: int) -> str:
        try:
            run_erasure(settings, database, blobs, ERNA, plan, [], actor="cli:ann", reason="asked", cancel=False, whole_studies=False)
        except NodeError as error:
            return str(error)
        return ""

    def reached(label: str, _subject: str) -> None:
        if label == "erase.begun":
            both.wait(600)

    set_watcher(reached)
    try:
        with ThreadPoolExecutor(2) as pool:
            first, second = sorted(pool.map(erase_at_once, range(2)))
    finally:
        set_watcher(None)
    assert (first, second[:39]) == ("", "another process has ended this erasure ")
    assert_nothing_is_left(database, blobs, *studies)
    assert other.kept(blobs) == (2, True)
    assert_counts_are_true(database)
    ((deleted,),) = rows(database, "SELECT details -> 'deleted' FROM audit_events WHERE action = 'patient.erased'")
    assert {what: deleted[what] for what in ("studies", "images", "analyses", "files")} == {  # type: ignore[index]
        "studies": 3, "images": 6, "analyses": 3, "files": 12,
    }  # fmt: skip
    verify_trail(database)


def test_requests_of_sources_keep_no_uid_that_was_listed_with_images_of_the_person(database: Database, blobs: Blobs, config: Path) -> None:
    study, other = store_erna(database, blobs, 701), store_study(database, blobs, 900, BOB)
    listed = [("1.2", uid) for uid in (f"{study.uid}.1", f"{study.uid}.77", f"{other.uid}.1")]  # the second one was refused
    record_source_request(database, source="PACS", transaction_uid="1.9", instances=listed, reserve_s=0)
    execute(database, "UPDATE source_commitment_requests SET state = 'answered'")
    assert erase(config) == 0
    assert rows(database, "SELECT sop_instance_uids FROM source_commitment_requests") == [([f"{other.uid}.1"],)]


def test_saved_views_about_the_person_go_whatever_order_and_place(database: Database, blobs: Blobs, config: Path) -> None:
    store_erna(database, blobs, 701)
    execute(database, "INSERT INTO users (name, role, password_hash) VALUES ('reader', 'viewer', 'x')")
    views = {
        "Erna, Sample": "state=open", "see erase-4711 again": "state=open", "a": "text=erna+sample+ct", "b": "text=Sample%5EErna",
        "Erna": "text=Erna", "4711": "text=471", "c": "text=sample&state=open",
    }  # fmt: skip
    for name, query in views.items():
        execute(database, f"INSERT INTO saved_views (user_id, name, query) SELECT id, '{name}', '{query}' FROM users")
    assert erase(config) == 0
    assert {str(name) for (name,) in rows(database, "SELECT name FROM saved_views")} == {"4711", "c", "Erna"}


def test_refused_data_sets_of_a_namesake_are_named(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the person who erases has not thought of another issuer, because no study names one."""
    store_erna(database, blobs, 701)
    theirs = refuse_image(database, blobs, PatientKey(ERNA.patient_id, "HOSPITAL B"))
    assert erase(config) == 0
    assert f"with this ID of another issuer, who is another person, stay: {theirs}" in capsys.readouterr().err
    assert rows(database, "SELECT id FROM quarantine") == [(theirs,)]
    assert erase(config, "--issuer", "HOSPITAL B") == 0
    assert scalar(database, "SELECT count(*) FROM quarantine") == 0
