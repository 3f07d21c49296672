"""A listener whose blobs are in an S3 server: Success only after the server has confirmed the object, also through an outage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.failpoints import set_watcher
from db.blobs.open_blobs import open_blobs
from db.blobs.remote.cached_blobs import CachedBlobs
from db.engine import Database
from dicom_node.receive.listener import Listener
from tests.dicom_node.conftest import MakeSettings
from tests.support.records import rows
from tests.support.seaweed import SeaweedFs
from tests.support.series import image
from tests.support.storage_scu import send

OUT_OF_RESOURCES = 0xA700
OPEN_ADMISSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND query LIKE '%admit_instances%'
"""


@pytest.fixture(autouse=True)
def no_watcher() -> Iterator[None]:
    yield
    set_watcher(None)


def test_an_instance_is_acknowledged_only_when_the_store_has_it(
    database: Database, make_settings: MakeSettings, seaweed: SeaweedFs, tmp_path: Path
) -> None:
    section = seaweed.section(url="s3://blobs/listener", timeout_s=5.0)
    settings = make_settings(store=section.model_dump())
    blobs = open_blobs(settings)
    assert isinstance(blobs, CachedBlobs)
    # What the database has at each step of an upload: no transaction is open, which would hold the lock of its unit, and no row is there.
    seen: list[tuple[str, list[tuple[object, ...]], list[tuple[object, ...]]]] = []

    def look(label: str, _subject: str) -> None:
        if label in ("store.written", "store.confirmed", "receive.grouped"):
            seen.append((label, rows(database, OPEN_ADMISSIONS), rows(database, "SELECT count(*) FROM instances")))

    with Listener(settings, database, blobs, reuse_port=False) as listener:
        set_watcher(look)
        assert send(listener.port, image(number=1)) == [0x0000]
        set_watcher(None)
        assert seen == [(label, [(0,)], [(0,)]) for label in ("store.written", "store.confirmed", "receive.grouped")]
        seaweed.kill()
        assert send(listener.port, image(number=2), image(number=3)) == [OUT_OF_RESOURCES] * 2
        assert rows(database, "SELECT count(*) FROM instances") == [(1,)]
        seaweed.start()
        assert send(listener.port, image(number=2), image(number=3)) == [0x0000] * 2
    hashes = [row[0] for row in rows(database, "SELECT sha256 FROM instances ORDER BY id")]
    other_machine = open_blobs(settings.model_copy(update={"store": section.model_copy(update={"cache_folder": tmp_path / "other"})}))
    assert [path.is_file() for path in other_machine.fetch_all(hashes)] == [True] * 3


def test_the_folder_of_this_machine_is_the_default(make_settings: MakeSettings, tmp_path: Path) -> None:
    blobs = open_blobs(make_settings())
    assert not isinstance(blobs, CachedBlobs)
    assert blobs.root == tmp_path / "data" / "blobs"


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ({"url": "ftp://x"}, "expected s3://bucket/prefix"),
        ({"url": "http://node:1"}, "expected s3://bucket/prefix"),
        ({"url": "https://node:1"}, "need a token"),
        ({"url": "https://node:1", "tokens": "short"}, "at least 32 characters"),
        ({"url": "s3://b", "endpoint": "http://10.0.0.1"}, "without TLS only a server on this machine"),
        ({"url": "s3://b", "access_key": "a"}, "given together"),
        ({"url": "s3://b", "tokens": "1" * 32, "serve": {}}, "url is empty"),
        ({"tokens": "1" * 32, "serve": {"host": "0.0.0.0"}}, r"give \[store.serve.tls\]"),
    ],
)
def test_settings_that_would_be_unsafe_are_refused(store: dict[str, object], words: str, make_settings: MakeSettings) -> None:
    with pytest.raises(ValueError, match=words):
        make_settings(store=store)
