"""A large erasure that was asked for on the console: other commands are carried out between its turns, and a kill changes nothing."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from console.operations.commands import shown_commands
from core.settings.settings import Settings
from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.operations.command_kinds import CommandKind
from db.patients import erasure
from db.patients.erasure_plan import plan_erasure
from db.roles import commands
from db.roles.command_runner import CommandRunner
from dicom_node.erasure.run import run_erasure
from tests.support.erasures import BOB, ERNA, NAMESAKE, assert_counts_are_true, assert_nothing_is_left, conductor_settings, store_erna
from tests.support.erasures import conductor as make_conductor
from tests.support.patients import StoredStudy, receive_images, refuse_image, store_study, verify_trail
from tests.support.records import rows, run, scalar

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[3]
NUMBERS = (701, 702, 703)
conductor = partial(make_conductor, turn_s=0.0)  # each turn of an erasure is one transaction
KILLED = """
import os, signal, sys, threading
from core.failpoints import set_watcher
from core.settings.settings import Settings
from db.engine import Database
from db.roles.command_runner import CommandRunner
from dicom_node.erasure.command import PersonCommands

label, left, url, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]

def kill_at_label(reached, _subject):
    global left
    if reached == label:
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

set_watcher(kill_at_label)
database = Database.open(url)
command = PersonCommands(Settings.model_validate({"node": {"data_dir": folder}}), database, turn_s=0.0)
runner = CommandRunner("conduct", database, {"patient.erase": command.erase}, threading.Event())
while runner.run_next() == 0.0:
    pass
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return conductor_settings(tmp_path)


@pytest.fixture
def blobs(settings: Settings) -> Blobs:
    return Blobs(settings.blobs_dir)


@pytest.fixture
def studies(database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> list[StoredStudy]:
    """Those of the person. One image and one file are deleted in a transaction, where the product deletes hundreds."""
    monkeypatch.setattr(erasure, "BATCH", 1)
    monkeypatch.setattr(removals, "BATCH", 1)
    return [store_erna(database, blobs, number) for number in NUMBERS]


def ask_to_erase(database: Database, **options: str) -> int:
    args = {"subject": ERNA.reference(database)[:8], "patient_id": ERNA.patient_id, "reason": "request 17", **options}
    return commands.enqueue_command(database, CommandKind.PATIENT_ERASE, args, "user:admin")


def state_of(database: Database, id: int) -> tuple[str, str]:
    """State and answer of a command."""
    found: dict[str, Any] | None = commands.show_command(database, id)
    assert found is not None
    return found["state"], (found["result"] or {}).get("answer", "")


def carry_out(runner: CommandRunner) -> int:
    """Have commands carried out until none is left; return how many turns that took."""
    turns = 0
    while runner.run_next() == 0.0:
        turns += 1
    return turns


def assert_erased_once(database: Database, blobs: Blobs, studies: list[StoredStudy], *, begun_again: bool = False) -> None:
    assert_nothing_is_left(database, blobs, *studies)
    assert_counts_are_true(database)
    words = ["begun", *(["continued"] if begun_again else [])]
    actions = [action for (action,) in rows(database, "SELECT action FROM audit_events WHERE subject LIKE 'erasure:%' ORDER BY id")]
    assert actions == [*(f"patient.erasure_{word}" for word in words), "patient.erased"]
    ((deleted,),) = rows(database, "SELECT details -> 'deleted' FROM audit_events WHERE action = 'patient.erased'")
    assert {what: deleted[what] for what in ("studies", "images", "analyses", "files")} == {  # type: ignore[index]
        "studies": 3, "images": 6, "analyses": 3, "files": 12,
    }  # fmt: skip
    assert rows(database, "SELECT args ? 'patient_id' FROM commands WHERE kind = 'patient.erase'") == [(False,)]
    verify_trail(database)


def test_other_commands_get_their_turn_and_the_page_shows_the_progress(
    database: Database, blobs: Blobs, settings: Settings, studies: list[StoredStudy]
) -> None:
    other = store_study(database, blobs, 900, BOB)
    theirs = refuse_image(database, blobs, BOB, content=b"no DICOM")
    runner, erasing = conductor(database, settings), ask_to_erase(database)
    assert runner.run_next() == 0.0
    assert state_of(database, erasing) == ("running", "erased so far: 0 of 3 studies, 0 images"), "one analysis is gone"
    assert scalar(database, "SELECT count(*) FROM jobs") == 3
    asked = [commands.enqueue_command(database, CommandKind.JOB_CANCEL, {"subject": "999"}, "user:ann") for _ in range(2)]
    for _ in range(3):
        assert runner.run_next() == 0.0, "one turn of the erasure, which has waited longest, and the two commands"
    assert [state_of(database, id) for id in asked] == [("failed", "there is no job 999")] * 2
    assert state_of(database, erasing)[0] == "running"
    while scalar(database, "SELECT count(*) FROM studies") == 4:
        assert runner.run_next() == 0.0
    (shown,) = shown_commands(database, ("patient.",))
    assert (shown.state, shown.pending, shown.answer) == ("running", True, "erased so far: 1 of 3 studies, 2 images")
    carry_out(runner)
    state, answer = state_of(database, erasing)
    assert state == "done"
    for part in ("erased: 3 analyses", "3 result objects are held by pacs", f"that do not say whose they are stay: {theirs}"):
        assert part in answer, part
    assert other.kept(blobs) == (2, True)
    assert_erased_once(database, blobs, studies)


def test_files_are_removed_in_turns_too(database: Database, blobs: Blobs, settings: Settings, studies: list[StoredStudy]) -> None:
    runner, erasing = conductor(database, settings), ask_to_erase(database)
    while scalar(database, "SELECT count(*) FROM studies"):
        assert runner.run_next() == 0.0
    left = "SELECT count(*) FROM blob_removals WHERE removed_at IS NULL"
    before = int(str(scalar(database, left)))
    assert before > 2
    assert runner.run_next() == 0.0
    assert (scalar(database, left), state_of(database, erasing)[0]) == (before - 1, "running")
    carry_out(runner)
    assert_erased_once(database, blobs, studies)


def test_refused_data_sets_are_read_in_turns_and_those_of_others_stay(
    database: Database, blobs: Blobs, settings: Settings, studies: list[StoredStudy]
) -> None:
    refuse_image(database, blobs, ERNA)
    theirs = refuse_image(database, blobs, NAMESAKE)
    unnamed = refuse_image(database, blobs, BOB, content=b"no DICOM")
    runner, erasing = conductor(database, settings), ask_to_erase(database)
    for _ in range(2):
        assert runner.run_next() == 0.0
        assert state_of(database, erasing) == ("running", "the refused data sets are being read")
    assert scalar(database, "SELECT count(*) FROM erasures") == 0
    carry_out(runner)
    state, answer = state_of(database, erasing)
    assert state == "done"
    assert f"that do not say whose they are stay: {unnamed}; " in answer
    assert answer.endswith(f"with this ID of another issuer stay: {theirs}")
    assert {id for (id,) in rows(database, "SELECT id FROM quarantine")} == {theirs, unnamed}
    assert_nothing_is_left(database, blobs, *studies)


def test_the_search_for_refused_data_sets_alone_takes_turns_too(database: Database, blobs: Blobs, settings: Settings) -> None:
    hers = refuse_image(database, blobs, ERNA)
    unnamed = refuse_image(database, blobs, BOB, content=b"no DICOM")
    asked = commands.enqueue_command(database, CommandKind.PATIENT_REFUSED, {"patient_id": ERNA.patient_id}, "user:admin")
    runner = conductor(database, settings)
    assert runner.run_next() == 0.0
    assert state_of(database, asked) == ("running", "the refused data sets are being read")
    assert carry_out(runner) == 1
    state, answer = state_of(database, asked)
    assert state == "done"
    assert answer.startswith(f"1 refused data set of this person is erased too: {hers}; 1 does not say whose it is and stays: {unnamed} (")


def test_another_conductor_continues_at_once_where_one_has_stopped_between_two_turns(
    database: Database, blobs: Blobs, settings: Settings, studies: list[StoredStudy]
) -> None:
    erasing = ask_to_erase(database)
    assert conductor(database, settings).run_next() == 0.0
    assert conductor(database, settings).run_next() == 0.0
    assert state_of(database, erasing)[0] == "running"
    carry_out(conductor(database, settings))
    assert state_of(database, erasing)[0] == "done"
    assert_erased_once(database, blobs, studies)


@pytest.mark.parametrize(
    ("label", "times", "in_first_turn"),
    [
        ("erase.begun", 0, True),
        ("erase.written", 0, True),
        ("erase.written", 4, False),
        ("erase.committed", 2, False),
        ("erase.removed", 0, False),
    ],
)
def test_killed_in_a_turn_and_continued(
    label: str, times: int, in_first_turn: bool, database: Database, database_url: str, blobs: Blobs, settings: Settings,
    studies: list[StoredStudy], tmp_path: Path,
) -> None:  # fmt: skip
    erasing = ask_to_erase(database)
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), label, str(times), database_url, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False).returncode == -9
    assert state_of(database, erasing)[0] == "running"
    assert conductor(database, settings).run_next() > 0.0, "that its process is dead is noticed after ten minutes"
    run(database, "UPDATE commands SET started_at = started_at - interval '11 minutes'")
    carry_out(conductor(database, settings))
    assert state_of(database, erasing)[0] == "done"
    assert_erased_once(database, blobs, studies, begun_again=in_first_turn)


def test_what_came_meanwhile_ends_the_command_and_the_next_one_continues(
    database: Database, blobs: Blobs, settings: Settings, studies: list[StoredStudy]
) -> None:
    runner, erasing = conductor(database, settings), ask_to_erase(database)
    assert runner.run_next() == 0.0
    receive_images(database, blobs, NUMBERS[-1], ERNA, (b"another content of the first image",))
    carry_out(runner)
    state, answer = state_of(database, erasing)
    assert (state, answer[:48]) == ("failed", "an image of this person was received meanwhile (")
    again = ask_to_erase(database, cancel="yes")
    carry_out(runner)
    assert state_of(database, again)[0] == "done"
    assert_nothing_is_left(database, blobs, *studies)


def test_an_erasure_that_the_command_line_has_ended_meanwhile_is_not_begun_again(
    database: Database, blobs: Blobs, settings: Settings, studies: list[StoredStudy]
) -> None:
    runner, erasing = conductor(database, settings), ask_to_erase(database)
    assert runner.run_next() == 0.0
    plan = plan_erasure(database, ERNA)
    run_erasure(settings, database, blobs, ERNA, plan, [], actor="cli:ann", reason="request 17", cancel=False, whole_studies=False)
    carry_out(runner)
    state, answer = state_of(database, erasing)
    assert (state, answer[:39]) == ("failed", "another process has ended this erasure ")
    assert_erased_once(database, blobs, studies, begun_again=True)
