"""Servers for tests: PostgreSQL and Valkey or Redis once per session, a new database per test."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg2
import pytest
import redis
from sqlalchemy.engine import make_url

from db.engine import Database, normalise_url
from db.schema.upgrade import upgrade_schema
from deploy.local.database_roles import ADMIN, NODE
from deploy.local.embedded_broker import EmbeddedBroker
from deploy.local.embedded_postgres import EmbeddedPostgres
from deploy.local.private_files import write_private_file

IN_MEMORY = Path("/dev/shm")  # no waiting for a disk: a new database takes 0.1 s, not 1 s
NEEDED_BYTES = 2 << 30

_numbers = count(1)


@pytest.fixture(scope="session")
def services_dir() -> Iterator[Path]:
    """A folder outside of pytest's, which the user that PostgreSQL runs as cannot enter."""
    folder = memory_folder()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def memory_folder() -> Path:
    """Create a folder that is closed to other users, in memory where there is enough space."""
    enough = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > NEEDED_BYTES
    return Path(tempfile.mkdtemp(prefix="dicom-node-tests-", dir=IN_MEMORY if enough else None))


@pytest.fixture(scope="session")
def postgres_url(services_dir: Path) -> Iterator[str]:
    """URL of an empty database of a running PostgreSQL, with a superuser."""
    folder = services_dir / "postgres"
    folder.mkdir()
    for name in ("password", "admin-password"):  # one password for both roles: each URL is made from the other by the name of the role
        write_private_file(folder / name, "tests")
    server = EmbeddedPostgres(folder)
    yield as_role(server.start(), ADMIN)
    server.stop()


@pytest.fixture(scope="session")
def database_template(postgres_url: str) -> str:
    """Name of a database with the current schema, from which others are copied."""
    _administer(postgres_url, "CREATE DATABASE template_node")
    template = Database.open(_with_name(postgres_url, "template_node"))
    upgrade_schema(template, (NODE, "tests"))
    template.dispose()
    return "template_node"


@pytest.fixture
def database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """URL of a new database with the current schema, with the role of a node; dropped after the test, even with open connections."""
    with fresh_database(postgres_url, database_template) as url:
        yield url


@contextmanager
def fresh_database(postgres_url: str, template: str) -> Iterator[str]:
    """Create such a database for a fixture of another scope."""
    name = f"test_{next(_numbers)}"
    # Copied file by file: half of the processor time that copying through the write-ahead log takes.
    _administer(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield as_role(_with_name(postgres_url, name), NODE)
    _administer(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new, open database. All are copies, so the installation id is the same in all."""
    opened = Database.open(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def broker_server(services_dir: Path) -> Iterator[str]:
    """URL of a running Valkey or Redis."""
    server = EmbeddedBroker(services_dir / "broker")
    yield server.start()
    server.stop()


@pytest.fixture
def broker_url(broker_server: str) -> str:
    """URL of a running Valkey or Redis, emptied."""
    with redis.Redis.from_url(broker_server) as client:
        client.flushall()
    return broker_server


def as_role(url: str, role: str) -> str:
    """Return the URL with the name of another role."""
    return make_url(url).set(username=role).render_as_string(hide_password=False)


@contextmanager
def as_superuser(database: Database) -> Iterator[Database]:
    """Open the same database as the superuser, for what the node's own role may not do."""
    opened = Database.open(as_role(database.engine.url.render_as_string(hide_password=False), ADMIN), pool_size=1)
    yield opened
    opened.dispose()


def _with_name(url: str, name: str) -> str:
    changed = make_url(normalise_url(url)).set(database=name)
    return changed.set(drivername="postgresql").render_as_string(hide_password=False)


def _administer(url: str, statement: str) -> None:
    """Execute a statement outside of a transaction."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
