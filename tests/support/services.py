"""Servers for tests: PostgreSQL and Valkey or Redis once per session, a database without rows per test."""

import fcntl
import hmac
import os
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path

import pytest
import redis
from sqlalchemy.engine import make_url

from db.engine import Database
from db.schema.upgrade import upgrade_schema
from deploy.local.database.database_roles import ADMIN, NODE
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.local.embedded.postgres import EmbeddedPostgres
from deploy.local.private_files import write_private_file
from tests.support.database_pool import DatabasePool
from tests.support.memory_folder import memory_folder

TEMPLATE = "template_node"
PASSWORD = b"tests"

_pools: dict[str, DatabasePool] = {}  # by the URL of the server


@pytest.fixture(scope="session")
def services_dir() -> Iterator[Path]:
    """A folder outside of pytest's, which the user that PostgreSQL runs as cannot enter."""
    folder = memory_folder()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(services_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database of a running PostgreSQL, with a superuser."""
    folder = services_dir / "postgres"
    _provide_cluster(folder, tmp_path_factory)
    server = EmbeddedPostgres(folder)
    url = as_role(server.start(), ADMIN)
    _pools[url] = DatabasePool(url)
    yield url
    _pools.pop(url).close()
    server.stop()


@pytest.fixture(scope="session")
def database_template(postgres_url: str) -> str:
    """Name of a database with the current schema, from which others are copied."""
    return TEMPLATE


def _provide_cluster(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make the cluster; one process of ``pytest -n`` makes it, and the others copy its files, which takes a tenth of the time."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        _make_cluster(folder)
        return
    made = tmp_path_factory.getbasetemp().parent / "postgres"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if made.exists():
            _copy(made, folder)
        else:
            _make_cluster(folder)
            _copy(folder, made.with_suffix(".new"))
            made.with_suffix(".new").rename(made)


def _copy(source: Path, target: Path) -> None:
    """Copy files with their owner, who is another user where this one is root."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _make_cluster(folder: Path) -> None:
    """Make a cluster with the template of the databases of all tests."""
    folder.mkdir()
    for name in ("password", "admin-password"):  # one password for both roles: each URL is made from the other by the name of the role
        write_private_file(folder / name, PASSWORD.decode())
    server = EmbeddedPostgres(folder)
    pool = DatabasePool(as_role(server.start(), ADMIN))
    _shorten_sign_in(pool)
    # It would visit each of the many databases every minute. A database that it has visited while it was empty also
    # has statistics that say so, with which checks of references may read whole tables: probably why `test_query_plans` once took 143 s.
    pool.administer("ALTER SYSTEM SET autovacuum = off")
    pool.administer("SELECT pg_reload_conf()")
    pool.administer(f"CREATE DATABASE {TEMPLATE}")
    with Database.open(pool.url(TEMPLATE)) as template:
        upgrade_schema(template, (NODE, PASSWORD.decode()))
    pool.close()
    server.stop()


def _shorten_sign_in(pool: DatabasePool) -> None:
    """Store the password of both roles with one round of hashing (RFC 5803) instead of 4096, which each connection pays twice."""
    salted = pbkdf2_hmac("sha256", PASSWORD, PASSWORD, 1)
    keys = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest(), hmac.digest(salted, b"Server Key", "sha256")
    salt, stored, server = (b64encode(part).decode() for part in (PASSWORD, *keys))
    for role in (ADMIN, NODE):
        pool.administer(f"ALTER ROLE {role} PASSWORD 'SCRAM-SHA-256$1:{salt}${stored}:{server}'")


@pytest.fixture
def database_url(postgres_url: str, database_template: str) -> Iterator[str]:
    """URL of a database with the current schema and no rows, with the role of a node. After the test its connections are closed."""
    with fresh_database(postgres_url, database_template) as url:
        yield url


@contextmanager
def fresh_database(postgres_url: str, template: str) -> Iterator[str]:
    """Take such a database for a fixture of another scope."""
    pool = _pools[postgres_url]
    name = pool.take(template, reused=template == TEMPLATE)
    yield as_role(pool.url(name), NODE)
    pool.give_back(name, template)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Such a database, open. All are copies of one, so the installation id is the same in all."""
    with Database.open(database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def module_database(postgres_url: str, database_template: str) -> Iterator[Database]:
    """Such a database for all tests of one file."""
    with fresh_database(postgres_url, database_template) as url, Database.open(url) as opened:
        yield opened


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
    with Database.open(as_role(database.engine.url.render_as_string(hide_password=False), ADMIN), pool_size=1) as opened:
        yield opened
