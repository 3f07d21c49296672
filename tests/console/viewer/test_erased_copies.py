"""Decoded images of an erased person leave the folder of a console that the erasure does not reach."""

from pathlib import Path

from db.engine import Database
from tests.support.console import RunningConsole
from tests.support.node_process import wait_until
from tests.support.records import Sender, scalar


def test_a_console_removes_decoded_images_of_units_that_are_gone(database: Database, tmp_path: Path) -> None:
    Sender(database).send(1)
    kept = f"unit-{scalar(database, 'SELECT id FROM units')}-abc"
    folder = tmp_path / "viewer-cache"
    for name in (kept, "unit-999999-abc", "unit-999998-abc.part-0-1"):
        (folder / name).mkdir(parents=True)
    with RunningConsole(database, tmp_path):
        wait_until("what is gone is removed", lambda: [path.name for path in folder.iterdir()] == [kept], every_s=0.05)
