"""``patients access``: everything of one person, of nobody else, as page, JSON and files; reading it is an audit event."""

import json
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from db.blobs.store import Blobs
from db.commitment.source_requests import record_source_request
from db.engine import Database
from db.patients.patient_key import PatientKey
from deploy.cli.main import run
from deploy.cli.patients.access_document import RESEARCH
from deploy.cli.patients.image_files import file_names
from tests.support.patients import compare_with_earlier, refuse_commitment, refuse_image, store_study, verify_trail
from tests.support.records import rows
from tests.support.records import run as execute

pytestmark = pytest.mark.services

ANN, OTHER_ANN, BOB = PatientKey("P-1"), PatientKey("P-1", "HOSPITAL B"), PatientKey("<b>P-2")


def _report(config: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """The report as JSON, from standard output."""
    assert run(["patients", "access", *options, "--json", "-", "--config", str(config)]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_it_has_everything_of_the_person_and_nothing_of_another(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ann, bob = store_study(database, blobs, 1, ANN), store_study(database, blobs, 2, BOB)
    refused, unknown = refuse_image(database, blobs, ANN), refuse_image(database, blobs, ANN, content=b"no data set")
    refuse_image(database, blobs, BOB)
    listed = [("1.2", f"{ann.uid}.1"), ("1.2", "1.2.99")]
    record_source_request(database, source="PACS", transaction_uid="1.9", instances=listed, reserve_s=0)
    execute(database, f"UPDATE instances SET removed_at = node_now() WHERE sop_instance_uid = '{ann.uid}.2'")
    execute(
        database,
        "INSERT INTO audit_events (actor, action, subject, details) SELECT 'cli:root', 'retention.removed', 'unit:' || id,"
        ' \'{"rule": "images", "days": 30, "images": 1}\' FROM units',
    )
    found = _report(config, capsys, "P-1")
    assert found["patient"] == {
        "patient_id": "P-1", "issuer_of_patient_id": "", "names": ["Name1^Given"], "birth_dates": [], "sexes": [],
    }  # fmt: skip
    assert found["use_of_results"] == RESEARCH
    assert [study["id"] for study in found["studies"]] == [ann.id]
    assert [(one["sha256"], one["source"], one["source_address"], one["removed_at"] is None) for one in found["images"]] == [
        (ann.images[0].sha256, "PACS", "127.0.0.1", True),
        (ann.images[1].sha256, "PACS", "127.0.0.1", False),
    ]
    (job,) = found["analyses"]
    assert (job["id"], job["model"], job["model_version"], job["status"], job["not_for"]) == (
        ann.job_id, "lung_nodule_ct", "1.0", "research", "not for diagnosis",
    )  # fmt: skip
    assert [(one["label"], one["tier"]) for one in found["findings"]] == [("nodule", "review")]
    assert [(one["sha256"], one["kind"]) for one in found["objects"]] == [(ann.result.sha256, "sr")]
    assert [(one["destination"], one["state"]) for one in found["deliveries"]] == [("pacs", "stored")]
    assert [(one["user_name"], one["verdict"]) for one in found["verdicts"]] == [("green", "accepted")]
    assert [(one["actor"], one["action"], one["subject"]) for one in found["views"]] == [("user:green", "study.viewed", f"study:{ann.id}")]
    assert [one["id"] for one in found["quarantined"]] == [refused]
    assert found["refused_data_sets_of_unknown_persons"] == [unknown]
    assert [(one["source"], one["instances"]) for one in found["commitment_requests"]] == [("PACS", 1)]
    assert [(one["details"]["rule"], one["subject"]) for one in found["deletions"]] == [("images", f"unit:{found['units'][0]['id']}")]
    assert len(found["overlays"]) == len(found["series"]) == 1
    assert bob.uid not in json.dumps(found)
    assert "Name2" not in json.dumps(found)


def test_reading_is_an_event_without_identity_and_later_reports_name_it(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_study(database, blobs, 1, ANN)
    assert _report(config, capsys, "P-1")["events_of_the_person"] == []
    ((actor, subject, details),) = rows(database, "SELECT actor, subject, details FROM audit_events WHERE action = 'patient.record_read'")
    assert str(actor).startswith("cli:")
    assert subject == "patient"
    assert details == {"patient": ANN.reference(database), "studies": 1, "images": 2, "files": False}
    assert [one["action"] for one in _report(config, capsys, "P-1")["events_of_the_person"]] == ["patient.record_read"]
    verify_trail(database)


def test_the_same_id_of_two_issuers_is_two_persons(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = store_study(database, blobs, 1, ANN), store_study(database, blobs, 2, OTHER_ANN)
    refused = refuse_image(database, blobs, OTHER_ANN)
    assert run(["patients", "access", "P-1", "--config", str(config)]) == 2
    err = capsys.readouterr().err
    assert "this Patient ID is one of 2 persons, by issuer: none (''), 'HOSPITAL B' (give --issuer)" in err
    first = _report(config, capsys, "P-1", "--issuer", "")
    assert ([study["id"] for study in first["studies"]], first["quarantined"]) == ([mine.id], [])
    second = _report(config, capsys, "P-1", "--issuer", "HOSPITAL B")
    assert ([study["id"] for study in second["studies"]], [one["id"] for one in second["quarantined"]]) == ([theirs.id], [refused])
    assert _report(config, capsys, "P-1", "--issuer", "HOSPITAL C")["studies"] == []
    assert run(["patients", "access", " ", "--config", str(config)]) == 2


def test_an_issuer_that_only_one_person_has_need_not_be_given(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_study(database, blobs, 1, OTHER_ANN)
    assert _report(config, capsys, "P-1")["patient"]["issuer_of_patient_id"] == "HOSPITAL B"


class _Text(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_folder_has_page_data_and_files_for_their_owner_only(
    database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_study(database, blobs, 2, BOB)
    refused = refuse_image(database, blobs, BOB)
    blobs.path(study.images[1].sha256).unlink()
    out = tmp_path / "out"
    assert run(["patients", "access", "<b>P-2", "--out", str(out), "--with-images", "--config", str(config)]) == 0
    err = capsys.readouterr().err
    assert "results were sent to pacs" in err
    document = json.loads((out / "access-report.json").read_text())
    names = dict(file_names(document))
    copied = {str(path.relative_to(out)): path for path in out.rglob("*.dcm")}
    (lost,) = set(names) - set(copied)
    assert lost in err
    assert names[lost] == study.images[1].sha256
    assert {name: path.read_bytes() for name, path in copied.items()} == {
        name: blobs.path(sha256).read_bytes() for name, sha256 in names.items() if name != lost
    }
    assert f"refused/{refused}.dcm" in copied
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_file()} == {0o600}
    page = _Text((out / "access-report.html").read_text())
    title = f"Analysis {study.job_id}: lung_nodule_ct 1.0"
    for shown in ("<b>P-2", "Name2, Given", title, "Nodule", "user:green", "opened the study", RESEARCH):
        assert shown in page.texts, shown
    assert "research; not for: not for diagnosis" in page.texts
    assert "b" not in page.elements, "a value of the images is no markup"
    assert run(["patients", "access", "<b>P-2", "--out", str(out), "--config", str(config)]) == 2
    assert "is not an empty folder" in capsys.readouterr().err


def test_a_file_name_has_no_character_of_a_path() -> None:
    sent = {"id": 3, "study_id": 1, "unit_id": 2, "sop_instance_uid": "../../1.2/3", "removed_at": None, "sha256": "a" * 64}
    sent["of_another_person"] = False
    others = [{**sent, "removed_at": "2026-01-01T00:00:00+00:00"}, {**sent, "of_another_person": True}]
    document = {"images": [sent, *others], "objects": [], "quarantined": []}
    assert dict(file_names(document)) == {"images/study-1/unit-2/3-.._.._1.2_3.dcm": "a" * 64}


def test_of_somebody_unknown_the_report_says_so(database: Database, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["patients", "access", "nobody", "--config", str(config)]) == 0
    assert "nothing is stored of this person" in capsys.readouterr().err
    assert run(["patients", "access", "nobody", "--with-images", "--config", str(config)]) == 2
    assert "name a folder with --out" in capsys.readouterr().err


def test_images_that_name_another_person_are_not_handed_out(
    database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = store_study(database, blobs, 1, ANN)
    other = '{"patient_id": "P-9", "patient_name": "Someone^Else"}'
    execute(database, f"UPDATE instances SET header = header || '{other}' WHERE sop_instance_uid = '{study.uid}.2'")
    out = tmp_path / "out"
    assert run(["patients", "access", "P-1", "--out", str(out), "--with-images", "--config", str(config)]) == 0
    assert "1 image of these studies names another person" in capsys.readouterr().err
    text = (out / "access-report.json").read_text()
    assert "Someone" not in text
    assert "P-9" not in text
    assert [path.read_bytes() for path in out.rglob("images/**/*.dcm")] == [blobs.path(study.images[0].sha256).read_bytes()]
    found = _report(config, capsys, "P-9")
    assert found["studies"] == []
    assert [row["sop_instance_uid"] for row in found["images_in_other_studies"]] == [f"{study.uid}.2"]


def test_a_destination_that_stored_a_result_and_did_not_commit_to_it_is_a_recipient(
    database: Database, blobs: Blobs, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_study(database, blobs, 1, ANN, deliver=False)
    (waits,) = _report(config, capsys, "P-1")["deliveries"]
    assert (waits["state"], waits["was_stored"], waits["stored_at"]) == ("pending", False, None)
    refuse_commitment(database)
    assert run(["patients", "access", "P-1", "--out", str(tmp_path / "out"), "--config", str(config)]) == 0
    assert "results were sent to pacs" in capsys.readouterr().err
    (sent,) = json.loads((tmp_path / "out" / "access-report.json").read_text())["deliveries"]
    assert (sent["state"], sent["was_stored"], sent["stored_at"] is None) == ("failed", True, False)
    assert "pacs: failed, but stored there" in (tmp_path / "out" / "access-report.html").read_text()


def test_refused_data_sets_of_a_namesake_are_named(
    database: Database, blobs: Blobs, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = refuse_image(database, blobs, OTHER_ANN)
    found = _report(config, capsys, "P-1")
    assert (found["quarantined"], found["refused_data_sets_of_other_issuers"]) == ([], [refused])


def test_it_says_with_which_earlier_analysis_a_result_was_compared(database: Database, blobs: Blobs, config: Path, tmp_path: Path) -> None:
    earlier, later = store_study(database, blobs, 1, ANN), store_study(database, blobs, 2, ANN)
    compare_with_earlier(database, later, earlier)
    out = tmp_path / "out"
    assert run(["patients", "access", "P-1", "--out", str(out), "--config", str(config)]) == 0
    document = json.loads((out / "access-report.json").read_text())
    assert [(one["job_id"], one["prior_job_id"]) for one in document["comparisons"]] == [(later.job_id, earlier.job_id)]
    text = " ".join(_Text((out / "access-report.html").read_text()).texts)
    assert f"analysis {earlier.job_id}, study of 2026-01-02, version 1.0" in text
    assert "No comparable finding was found in the result of 2026-01-02" in text
