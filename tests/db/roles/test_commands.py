"""Commands: carried out once, and taken up again when the process died."""

from db.engine import Database
from db.roles import commands
from tests.support.records import rows, run


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


def test_a_command_of_several_turns_lets_the_others_go_first(database: Database) -> None:
    long = commands.enqueue_command(database, "erase", {"patient_id": "P-1"}, "admin")
    first = commands.claim_command(database, ("erase", "echo"))
    assert first is not None
    assert (first.id, first.progress) == (long, None)
    asked = [commands.enqueue_command(database, "echo", {}, "admin") for _ in range(2)]
    commands.end_turn(database, first, answer="2 of 9", progress={"row": 7})
    shown = commands.show_command(database, long)
    assert shown is not None
    assert (shown["state"], shown["result"]["answer"], shown["finished_at"]) == ("running", "2 of 9", None)
    order = []
    for _ in range(3):
        taken = commands.claim_command(database, ("erase", "echo"))
        assert taken is not None
        order.append((taken.id, taken.progress))
    assert order == [(asked[0], None), (asked[1], None), (long, {"row": 7})]
    assert commands.claim_command(database, ("erase", "echo")) is None, "a process has it"
    commands.finish_command(database, first, ok=True, result={"answer": "9 of 9"})
    assert rows(database, f"SELECT state, result, args FROM commands WHERE id = {long}") == [("done", {"answer": "9 of 9"}, {})]


def test_a_turn_whose_process_died_is_taken_up_again(database: Database) -> None:
    commands.enqueue_command(database, "erase", {}, "admin")
    first = commands.claim_command(database, ("erase",))
    assert first is not None
    commands.end_turn(database, first, answer="2 of 9", progress={"row": 7})
    commands.claim_command(database, ("erase",))
    run(database, "UPDATE commands SET started_at = started_at - interval '1 hour'")
    again = commands.claim_command(database, ("erase",))
    assert again is not None
    assert again.progress == {"row": 7}
