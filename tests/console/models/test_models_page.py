"""The models page over real HTTP: versions, commands, and figures from verdicts with their intervals."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.models.figures import KeptModelFigures
from core.settings.settings import Settings
from db.engine import Database
from db.operations.model_performance import read_abstentions, read_performance, recent_acceptance
from db.roles.command_runner import CommandRunner
from dicom_node.conduct.commands import command_handlers
from models import installed, registry
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.model_packages import other_version
from tests.support.records import Sender, claim, complete, finish, plan, run, scalar

NAME = "lung_nodule_ct"
DIGEST = registry.pipeline_digest(NAME)


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """Twelve results with one finding each: eight accepted, two corrected (one to another class), one rejected, one replaced verdict."""
    for number in range(12):
        Sender(module_database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(module_database, plan(), study=f"1.2.{number}")
        finish(module_database, claim(module_database))
    run(module_database, "UPDATE jobs SET scanner = CASE WHEN id % 2 = 0 THEN 'ACME One' ELSE '' END")
    run(module_database, "UPDATE findings SET probability = 0.85")
    run(module_database, f"UPDATE jobs SET pipeline_digest = '{DIGEST}'")
    add = "INSERT INTO verdicts (job_id, finding_id, verdict, reason, label, user_name, seen_revision, seen_at)"
    ranked = "(SELECT *, row_number() OVER (ORDER BY id) AS place FROM findings) AS f"
    run(module_database, f"{add} SELECT job_id, id, 'accepted', '', '', 'ann', 1, now() FROM {ranked} WHERE place <= 9")
    run(module_database, f"{add} SELECT job_id, id, 'corrected', '', label, 'ann', 1, now() FROM {ranked} WHERE place = 10")
    run(module_database, f"{add} SELECT job_id, id, 'corrected', '', 'vessel', 'ann', 1, now() FROM {ranked} WHERE place = 11")
    # The ninth verdict is replaced by a rejection.
    run(
        module_database,
        "INSERT INTO verdicts (job_id, finding_id, verdict, reason, user_name, seen_revision, seen_at, supersedes) "
        "SELECT job_id, finding_id, 'rejected', 'artifact', 'bob', 1, now(), id FROM verdicts ORDER BY id OFFSET 8 LIMIT 1",
    )
    run(
        module_database,
        "INSERT INTO verdicts (job_id, verdict, label, code_value, code_scheme, sop_instance_uid, image_point, user_name, "
        "seen_revision, seen_at) "
        "SELECT min(job_id), 'missed', 'nodule', '27925004', 'SCT', '1.2.3', '{1,2}', 'ann', 1, now() FROM findings",
    )
    return module_database


@pytest.fixture(scope="module")
def browser(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    add_users(database)
    with RunningConsole(database, tmp_path_factory.mktemp("models")) as console, console.browser() as browser:
        browser.open("/sign-in")
        browser.sign_in("operator", next="/models")
        yield browser


def test_figures_count_current_verdicts_alone(database: Database) -> None:
    found = read_performance(database, NAME, DIGEST)
    (version,) = found.by_version
    assert (version.acceptance.count, version.acceptance.n) == (8, 11)
    assert (version.ppv.count, version.missed, version.results) == (9, 1, 11)
    assert {one.name for one in found.by_scanner} == {"ACME One", "unknown"}
    assert sum(one.acceptance.n for one in found.by_scanner) == sum(one.acceptance.n for one in found.by_week) == 11
    (calibration,) = found.calibration
    assert (round(calibration.mean, 2), calibration.right.count, calibration.right.n) == (0.85, 9, 11)
    assert sum(share.n for _, share in read_abstentions(database, NAME)) == 12
    recent = recent_acceptance(database, DIGEST, 7)
    assert (recent.count, recent.n) == (8, 11)


def test_the_page_shows_shares_with_n_and_interval(browser: Browser) -> None:
    page = browser.get(f"/models/{NAME}").text
    for shown in ("73 %", "43 to 90 %, n = 11", "ACME One", "Roll back", "Activate", "No version has run as a shadow", 'role="img"'):
        assert shown in page, shown
    assert browser.get("/models/no_such_model").status_code == 404


def test_a_version_is_activated_by_the_conductor_with_the_reason_of_the_person(
    browser: Browser, database: Database, tmp_path: Path
) -> None:
    assert "Lung nodules on chest CT" in browser.open("/models").text
    wrong = browser.send_form("/models/commands", kind="model.activate", subject=NAME, version=DIGEST, reason="")
    assert wrong.status_code == 422
    assert browser.send_form("/models/commands", kind="job.cancel", subject="1", reason="x").status_code == 422
    sent = browser.send_form("/models/commands", kind="model.activate", subject=NAME, version=DIGEST, reason="better on our scanners")
    assert sent.status_code == 303
    assert "waits for the answer" in browser.get("/models/commands").text
    settings = Settings.model_validate({"node": {"data_dir": tmp_path}})
    CommandRunner("conduct", database, command_handlers(settings, database), threading.Event()).run_next()
    assert scalar(database, f"SELECT state FROM models WHERE digest = '{DIGEST}'") == "active"
    assert "is active: new jobs use it" in browser.get("/models/commands").text


def test_a_damaged_version_is_shown_with_its_file_and_cannot_be_activated(database: Database, tmp_path: Path) -> None:
    with RunningConsole(database, tmp_path) as console, console.browser() as operator:
        folder = tmp_path / installed.FOLDER
        for version in ("9.9.8", "9.9.9"):
            installed.install_version(other_version(NAME, tmp_path / version, version), folder)
        (folder / NAME / "9.9.8" / "card.toml").write_bytes(b"\xff")
        (folder / NAME / "9.9.9" / "weights.safetensors").write_bytes(b"x")
        operator.open("/sign-in")
        operator.sign_in("operator", next="/models")
        for address in ("/models", f"/models/{NAME}"):
            page = operator.open(address).text
            for shown in (f"{folder}/{NAME}/9.9.8/card.toml is not UTF-8 text", f"{folder}/{NAME}/9.9.9/weights.safetensors has sha256"):
                assert shown in page, (address, shown)
            assert "Lung nodules on chest CT" in page
        digests = {one.card.version: one.digest for one in installed.versions(NAME, folder)}
        assert f'name="version" value="{DIGEST}"' in page
        assert f'name="version" value="{digests["9.9.9"]}"' not in page


def test_readers_see_the_figures_and_no_action(database: Database, tmp_path: Path) -> None:
    with RunningConsole(database, tmp_path) as console, console.browser() as reader:
        reader.open("/sign-in")
        reader.sign_in("viewer", next="/models")
        page = reader.open(f"/models/{NAME}").text
        assert "n = 11" in page
        assert 'value="model.activate"' not in page
        assert reader.send_form("/models/commands", kind="model.rollback", subject=NAME, reason="x").status_code == 403


def test_kept_figures_are_read_again_after_the_next_verdict(database: Database) -> None:
    kept = KeptModelFigures(database)
    before = kept.performance(NAME, DIGEST)
    assert kept.performance(NAME, DIGEST) is before
    run(
        database,
        "INSERT INTO verdicts (job_id, finding_id, verdict, reason, user_name, seen_revision, seen_at, supersedes) "
        "SELECT job_id, finding_id, 'rejected', 'artifact', 'bob', 1, now(), id FROM verdicts ORDER BY id LIMIT 1",
    )
    assert [one.by_version[0].acceptance.count for one in (before, kept.performance(NAME, DIGEST))] == [8, 7]
