"""The erasure of one person: who she is, what is stored of her, how she is erased, and what must be left."""

import threading
from pathlib import Path
from typing import Any

from core.settings.settings import Settings
from db import counters
from db.blobs.store import Blobs
from db.engine import Database
from db.patients.patient_key import PatientKey
from db.roles.command_runner import CommandRunner
from deploy.cli.main import run as run_command
from dicom_node.conduct.commands import command_handlers
from dicom_node.erasure.command import TURN_S, PersonCommands
from tests.support.patients import StoredStudy, store_study
from tests.support.records import rows, run, scalar

ERNA, NAMESAKE, BOB = PatientKey("ERASE-4711"), PatientKey("ERASE-4711", "HOSPITAL B"), PatientKey("KEPT-1")
REASON = "request 17 of 2026-11-30"


def store_erna(database: Database, blobs: Blobs, number: int, patient: PatientKey = ERNA, **given: Any) -> StoredStudy:
    """Store a study of the person who is erased, whose name is Erna. ``given``: as for `store_study`."""
    study = store_study(database, blobs, number, patient, **given)
    run(database, f"UPDATE studies SET patient_name = 'Sample^Erna' WHERE id = {study.id}")
    named = '{"patient_name": "Sample^Erna"}'
    run(database, f"UPDATE instances SET header = header || '{named}' WHERE sop_instance_uid LIKE '{study.uid}.%'")
    return study


def erase_arguments(config: Path, *options: str, patient_id: str = ERNA.patient_id) -> list[str]:
    """Return the arguments of ``dicom-node patients erase``."""
    return ["patients", "erase", patient_id, "--config", str(config), *options]


def erase(config: Path, *options: str, reason: str = REASON) -> int:
    """Erase the person by the command line; return the exit status."""
    return run_command(erase_arguments(config, "--reason", reason, "--yes", *options))


def conductor_settings(data_dir: Path) -> Settings:
    """Return the settings of a conductor, whose blobs are in the data folder."""
    return Settings.model_validate({"node": {"data_dir": data_dir}})


def conductor(database: Database, settings: Settings, *, turn_s: float = TURN_S) -> CommandRunner:
    """Return the part of a conductor that carries out commands. ``turn_s`` 0: each turn of an erasure is one transaction."""
    in_turns = PersonCommands(settings, database, turn_s=turn_s).handlers()
    return CommandRunner("conduct", database, {**command_handlers(settings, database), **in_turns}, threading.Event())


def every_row(database: Database) -> dict[str, list[str]]:
    """Return every row of every table, as text."""
    tables = rows(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
    )
    return {str(table): sorted(str(row) for (row,) in rows(database, f"SELECT CAST(t AS text) FROM {table} t")) for (table,) in tables}


def assert_nothing_is_left(database: Database, blobs: Blobs, *studies: StoredStudy) -> None:
    """Check that no row of any table names the person, and that no file of hers is there."""
    words = {ERNA.patient_id, "Erna", *(study.uid for study in studies)}
    found = {table: [row for row in every if any(word in row for word in words)] for table, every in every_row(database).items()}
    assert {table: named for table, named in found.items() if named} == {}
    assert [study.kept(blobs) for study in studies] == [(0, False)] * len(studies)
    assert scalar(database, "SELECT count(*) FROM blob_removals WHERE removed_at IS NULL") == 0


def assert_counts_are_true(database: Database) -> None:
    """Check that the counters are the numbers of the rows that are left."""
    with database.begin() as connection:
        counted = counters.read(connection)
    for name, query in (
        ("jobs", "SELECT ARRAY[state], count(*) FROM jobs GROUP BY 1"),
        ("deliveries", "SELECT ARRAY[destination, state], count(*) FROM deliveries GROUP BY 1"),
        ("instances", "SELECT CAST('{}' AS text[]), sum(held) FROM units WHERE state = 'complete' HAVING count(*) > 0"),
        ("quarantine_items", "SELECT CAST('{}' AS text[]), count(*) FROM quarantine HAVING count(*) > 0"),
    ):
        true = {tuple(labels): float(str(count)) for labels, count in rows(database, query)}  # type: ignore[call-overload]
        assert {labels: amount for labels, amount in counted.get(name, {}).items() if amount} == true, name
