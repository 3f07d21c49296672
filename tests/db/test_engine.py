"""Connections: URLs, errors without secrets or patient data, and the database's clock."""

from datetime import UTC, timedelta

import pytest
from sqlalchemy import text

from core.errors import ConfigurationError, StorageError
from db.engine import Database, normalise_url
from tests.support.records import Sender, run, scalar


@pytest.mark.parametrize("url", ["postgresql://u:p@h:5/d", "postgres://u:p@h:5/d", "postgresql+psycopg2://u:p@h:5/d"])
def test_every_scheme_gets_the_installed_driver(url: str) -> None:
    assert normalise_url(url) == "postgresql+psycopg2://u:p@h:5/d"


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite:///x.db"])
def test_a_url_of_another_database_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Database.open(url)


def test_a_database_that_does_not_respond_is_a_storage_error_without_password() -> None:
    database = Database.open("postgresql://u:secret@127.0.0.1:1/d")
    with pytest.raises(StorageError, match="does not respond") as caught:
        database.ping()
    assert "secret" not in str(caught.value)
    database.dispose()


def test_the_clock_is_one_replaceable_function(database: Database) -> None:
    real = database.now()
    assert real.tzinfo is not None
    assert real.utcoffset() == timedelta(0)
    run(
        database,
        "CREATE OR REPLACE FUNCTION node_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT clock_timestamp() + interval ''1 day'''",
    )
    assert database.now() - real > timedelta(hours=23)
    Sender(database).send(1)
    received = scalar(database, "SELECT received_at FROM instances")
    assert received.astimezone(UTC) - real > timedelta(hours=23)  # type: ignore[attr-defined]


def test_connections_closed_by_the_server_are_replaced(database: Database) -> None:
    database.ping()
    other = Database.open(database.engine.url.render_as_string(hide_password=False))
    with other.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
        )
    other.dispose()
    database.ping()


def test_errors_never_show_values(database: Database) -> None:
    with pytest.raises(Exception, match="hidden") as caught, database.begin() as connection:
        connection.execute(text("SELECT 1/0 WHERE :name = 'Doe^Jane'"), {"name": "Doe^Jane Q"})
    assert "Doe^Jane Q" not in str(caught.value)
