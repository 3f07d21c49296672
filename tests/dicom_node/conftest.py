"""Fixtures: a listener on a free port, with its own database and blob folder; a conductor; finished reports."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from core.records import ResultObject
from core.settings.settings import Settings
from core.states import Priority, ResultKind
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_records import StoredObject
from dicom_node.conduct import conductor
from dicom_node.receive import server
from dicom_node.receive.listener import Listener
from tests.support.records import Sender, claim, complete, identity, plan, prediction, timings
from tests.support.role_thread import role_in_thread
from tests.support.series import SR, encoded, image

MakeSettings = Callable[..., Settings]
DESTINATION = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 4242}


@pytest.fixture(autouse=True)
def unhurried_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender of these tests may take longer for its association request than the product allows: it shares a busy machine."""
    monkeypatch.setattr(server, "REQUEST_TIMEOUT_S", 60.0)


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
    """Makes settings with one source PACS at 127.0.0.1; sections given by name are merged into them."""

    def make(**sections: Any) -> Settings:
        values: dict[str, Any] = {
            "node": {"data_dir": tmp_path / "data", "port": 0},
            "receive": {"min_free_bytes": 0, "association_lease_s": 60.0},
            "sources": [{"ae_title": "PACS", "host": "127.0.0.1"}],
        }
        for name, section in sections.items():
            values[name] = {**values[name], **section} if isinstance(values.get(name), dict) else section
        return Settings.model_validate(values)

    return make


@contextmanager
def database_unavailable(postgres_url: str, database: Database) -> Iterator[None]:
    """The database accepts no connection, and existing ones are terminated."""
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
    """Starts listeners, which are drained at the end."""
    with ExitStack() as stack:

        def go(settings: Settings) -> Running:
            listener = stack.enter_context(Listener(settings, database, blobs, reuse_port=False))
            return Running(listener.port, settings, database, blobs, listener)

        yield go


@pytest.fixture
def node(start: Callable[[Settings], Running], make_settings: MakeSettings) -> Running:
    """A listener with the settings of `make_settings`."""
    return start(make_settings())


def conducting(settings: Settings, database: Database, blobs: Blobs) -> AbstractContextManager[None]:
    """The role ``conduct`` in a thread of this process; it is stopped at the end."""
    return role_in_thread(conductor.run, settings, database, blobs)


@pytest.fixture
def conduct(start: Callable[[Settings], Running], make_settings: MakeSettings) -> Callable[..., Any]:
    """A listener and a conductor with these routes. A whole series is complete 0.4 s after its association was released."""

    @contextmanager
    def go(*routes: dict[str, Any], **sections: Any) -> Iterator[Running]:
        values: dict[str, Any] = {
            "completion": {"settle_s": 0.4, "quiet_s": 10.0, "max_wait_s": 240.0},
            "destinations": [DESTINATION, {**DESTINATION, "name": "second"}],
            "routes": list(routes),
        }
        node = start(make_settings(**{**values, **sections}))
        with conducting(node.settings, node.database, node.blobs):
            yield node

    return go


@pytest.fixture
def make_report(database: Database, blobs: Blobs) -> Callable[..., str]:
    """Makes a finished job with one SR for each destination, and returns the SOP Instance UID of the SR."""
    numbers = iter(range(1, 100))

    def make(*destinations: str, sop_class: str = SR, priority: Priority = Priority.ROUTINE) -> str:
        number = next(numbers)
        source = Sender(database)
        source.send(number, series=f"1.2.3.{number}", study=f"1.2.3.{number}")
        complete(database, plan(destinations=destinations, priority=priority), study=f"1.2.3.{number}")
        job = claim(database)
        made = image(number=number, sop_class=sop_class, Modality="SR")
        content = encoded(made)
        uid = str(made.SOPInstanceUID)
        report = ResultObject(ResultKind.SR, "default", sop_class, uid, str(made.SeriesInstanceUID), b"")
        stored = StoredObject(report, blobs.put(content), destinations)
        commit_result(database, job, prediction=prediction(), identity=identity(), objects=(stored,), timings=timings())
        return uid

    return make
