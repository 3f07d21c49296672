"""A listener on a free port, with a database and a blob folder of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from core.settings import Settings
from db.base import Database
from db.blobs import Blobs
from dicom_node.listener import Listener

MakeSettings = Callable[..., Settings]


@dataclass(frozen=True, slots=True)
class Running:
    """A listener in this process."""

    port: int
    settings: Settings
    database: Database
    blobs: Blobs
    listener: Listener


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings for a test: one source PACS at 127.0.0.1; sections given by name are merged over."""

    def make(**sections: Any) -> Settings:
        values: dict[str, Any] = {
            "node": {"data_dir": tmp_path / "data", "port": 0},
            "receive": {"min_free_bytes": 0, "association_lease_s": 5.0},
            "sources": [{"ae_title": "PACS", "host": "127.0.0.1"}],
        }
        for name, section in sections.items():
            values[name] = {**values[name], **section} if isinstance(values.get(name), dict) else section
        return Settings.model_validate(values)

    return make


@contextmanager
def away(postgres_url: str, database: Database) -> Iterator[None]:
    """The database accepts nobody, and throws out who is connected."""
    name = database.engine.url.database

    def administer(*statements: str) -> None:
        connection = psycopg2.connect(postgres_url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()

    kick = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", kick)
    try:
        yield
    finally:
        administer(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "data" / "blobs")


@pytest.fixture
def start(database: Database, blobs: Blobs) -> Iterator[Callable[[Settings], Running]]:
    """Starts listeners; all are drained at the end."""
    with ExitStack() as stack:

        def go(settings: Settings) -> Running:
            listener = stack.enter_context(Listener(settings, database, blobs, reuse_port=False))
            return Running(listener.port, settings, database, blobs, listener)

        yield go


@pytest.fixture
def node(start: Callable[[Settings], Running], make_settings: MakeSettings) -> Running:
    """A listener with the default test settings."""
    return start(make_settings())
