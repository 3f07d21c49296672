"""Commands: carried out once, and taken up again when the process died."""

from db.engine import Database
from db.roles import commands
from tests.support.records import run


def test_a_command_is_carried_out_once_and_answered(database: Database) -> None:
    first = commands.enqueue_command(database, "echo", {"destination": "pacs"}, "admin")
    assert commands.claim_command(database, ("test_file",)) is None
    taken = commands.claim_command(database, ("echo",))
    assert taken is not None
    assert (taken.id, taken.args, taken.actor) == (first, {"destination": "pacs"}, "admin")
    assert commands.claim_command(database, ("echo",)) is None
    commands.finish_command(database, taken, ok=True, result={"ms": 3})
    shown = commands.show_command(database, first)
    assert shown is not None
    assert (shown["state"], shown["result"]) == ("done", {"ms": 3})
    assert commands.show_command(database, 999) is None


def test_a_command_whose_process_died_is_taken_up_again(database: Database) -> None:
    commands.enqueue_command(database, "echo", {}, "admin")
    commands.claim_command(database, ("echo",))
    run(database, "UPDATE commands SET started_at = started_at - interval '1 hour'")
    assert commands.claim_command(database, ("echo",)) is not None
