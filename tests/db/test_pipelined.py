"""Several statements in one round trip: in their order, each with its own values, all or none of them."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.engine import Database
from db.pipelined import execute_pipelined

ADD = text("INSERT INTO noted (said, many) VALUES (:said, :many)")
CLOSE = text("UPDATE noted SET said = said || :said WHERE said LIKE 'a%'")
# Values that could be taken for the end of a statement or for a placeholder.
ODD = ["a", "a'; DROP TABLE noted; --", "a%s", "%(said)s", "a\\b", ":said", "ä 山", ""]


@pytest.fixture
def noted(database: Database) -> Database:
    with database.begin() as connection:
        columns = "id bigint GENERATED ALWAYS AS IDENTITY, said text CHECK (said <> 'no'), many text[]"
        connection.execute(text(f"CREATE TABLE noted ({columns})"))
    return database


def rows(database: Database) -> list[tuple[str, list[str] | None]]:
    with database.begin() as connection:
        return [(row.said, row.many) for row in connection.execute(text("SELECT said, many FROM noted ORDER BY id"))]


def test_statements_run_in_order_with_their_own_values(noted: Database) -> None:
    with noted.begin() as connection:
        execute_pipelined(connection, [*((ADD, {"said": said, "many": [said, said]}) for said in ODD), (CLOSE, {"said": "!"})])
        execute_pipelined(connection, [(ADD, {"said": "a", "many": None})])
    begun = [said + "!" if said.startswith("a") else said for said in ODD]
    assert rows(noted) == [*((said, [was, was]) for said, was in zip(begun, ODD, strict=True)), ("a", None)]


def test_an_empty_list(noted: Database) -> None:
    with noted.begin() as connection:
        execute_pipelined(connection, [])
    assert rows(noted) == []


def test_an_error_rolls_back_all_statements(noted: Database) -> None:
    with pytest.raises(DBAPIError), noted.begin() as connection:
        execute_pipelined(connection, [(ADD, {"said": said, "many": None}) for said in ("yes", "no", "yes")])
    assert rows(noted) == []


def test_a_connection_with_another_encoding(noted: Database, database_url: str) -> None:
    western = Database.open(f"{database_url}{'&' if '?' in database_url else '?'}client_encoding=latin1")
    with western.begin() as connection:
        execute_pipelined(connection, [(ADD, {"said": "Müller", "many": None})])
    western.dispose()
    assert rows(noted) == [("Müller", None)]
