"""Alembic without its command line or ini file: on a connection and in a transaction that the caller holds."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from db import views

UPGRADE_LOCK = 0x64636D6E  # "dcmn": two roles that start at once upgrade one after the other


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": UPGRADE_LOCK})
    if current(connection) != head():
        for statement in views.DROP:
            connection.execute(text(statement))
        command.upgrade(_config(connection), "head")
        for statement in views.CREATE:
            connection.execute(text(statement))
    # two random UUIDs are 244 random bits: the key of the references in audit events
    connection.execute(
        text(
            "INSERT INTO installation (id, secret, created_at) "
            "VALUES (gen_random_uuid(), sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), node_now()) "
            "ON CONFLICT DO NOTHING"
        )
    )


def current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    found = ScriptDirectory.from_config(_config()).get_current_head()
    assert found is not None
    return found
