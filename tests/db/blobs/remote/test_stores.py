"""What each of the two stores does on its own: outage, removal and lists of S3; tokens, limits and refusals of a node."""

import http.client
import os
import ssl
from pathlib import Path

import pytest

from core.errors import StorageError, StoreUnavailable
from db.blobs.open_blobs import open_store
from db.blobs.orphaned_blobs import remove_orphans
from db.blobs.remote.cached_blobs import CachedBlobs
from db.blobs.store import Blobs
from db.engine import Database
from tests.db.blobs.remote.conftest import OTHER_TOKEN, TOKEN, Place
from tests.support.certificates import Authority
from tests.support.seaweed import SeaweedFs


def bucket(seaweed: SeaweedFs, folder: Path, name: str) -> CachedBlobs:
    return CachedBlobs(folder / "copies", open_store(seaweed.section(url=f"s3://blobs/{name}", timeout_s=5.0)), max_bytes=1 << 30)


def test_an_outage_of_the_s3_server_loses_nothing(seaweed: SeaweedFs, tmp_path: Path) -> None:
    """Before Success the server must have confirmed the object; after its kill and restart it still has it."""
    blobs = bucket(seaweed, tmp_path, "outage")
    before, later = os.urandom(500_000), os.urandom(500_000)
    ref = blobs.put(before)
    seaweed.kill()
    with pytest.raises(StoreUnavailable, match="storing in S3 bucket blobs failed"):
        blobs.put(later)
    for ask in (blobs.store.has, blobs.has, blobs.remove):
        with pytest.raises(StoreUnavailable):
            ask(ref.sha256)
    assert blobs.read(ref.sha256) == before  # its copy is here
    assert list(blobs.tmp_dir.iterdir()) == []
    assert len(list(blobs.root.glob("??/*"))) == 1  # what was not confirmed has no name
    seaweed.start()
    blobs.drop_copy(ref.sha256)
    assert blobs.read(ref.sha256) == before
    assert blobs.has(blobs.put(later).sha256)


def test_a_wrong_key_is_named(seaweed: SeaweedFs, tmp_path: Path) -> None:
    section = seaweed.section(secret_key="wrong", timeout_s=5.0)
    with pytest.raises(StoreUnavailable, match="the server refuses the access key"):
        CachedBlobs(tmp_path, open_store(section), max_bytes=0).put(b"x")


def test_blobs_of_a_bucket_are_listed_and_removed(seaweed: SeaweedFs, tmp_path: Path) -> None:
    blobs = bucket(seaweed, tmp_path, "listed")
    refs = [blobs.put(os.urandom(10 + number)) for number in range(20)]
    found = {}
    for folder in blobs.folders():
        found |= {sha256: blobs.size_if_older(sha256, 0) for sha256 in folder}
        assert all(blobs.size_if_older(sha256, 1) is None for sha256 in folder)
    assert found == {ref.sha256: ref.size_bytes for ref in refs}
    blobs.remove(refs[0].sha256)
    blobs.remove(refs[0].sha256)
    assert not blobs.has(refs[0].sha256)
    with pytest.raises(StorageError, match="is missing in"):
        blobs.read(refs[0].sha256)


def test_orphans_of_a_bucket_are_not_removed(seaweed: SeaweedFs, tmp_path: Path, database: Database) -> None:
    """No lock of this machine keeps another one from storing the same content just now."""
    blobs = bucket(seaweed, tmp_path, "orphans")
    ref = blobs.put(b"orphan")
    with pytest.raises(StorageError, match="counted in S3 bucket blobs, not removed"):
        remove_orphans(database, blobs, 0, actor="test", limit=10)
    assert blobs.has(ref.sha256)


def ask(place: Place, authority: Authority, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    host, _, port = place.section.url.removeprefix("https://").partition(":")
    connection = http.client.HTTPSConnection(host, int(port), context=ssl.create_default_context(cafile=str(authority.ca)), timeout=600)
    connection.request(method, path, body=body, headers={"Authorization": f"Bearer {TOKEN}"} | headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_a_node_answers_only_for_a_hash_and_with_a_token(served: tuple[Blobs, Place], authority: Authority) -> None:
    blobs, place = served
    ref = blobs.put(b"content")
    path = f"/blobs/{ref.sha256}"
    assert ask(place, authority, "GET", path) == (200, b"content")
    assert ask(place, authority, "HEAD", path) == (200, b"")
    assert ask(place, authority, "GET", path, Authorization=f"Bearer {OTHER_TOKEN}")[0] == 200  # a second token, so that tokens can change
    for wrong in ("", "Bearer", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", f"Bearer {TOKEN} {OTHER_TOKEN}"):
        assert ask(place, authority, "GET", path, Authorization=wrong)[0] == 401
    for other in ("/", "/blobs/", "/blobs/../node.toml", f"/blobs/{'0' * 64}", f"{path}/..", f"/blobs/{ref.sha256.upper()}"):
        assert ask(place, authority, "GET", other)[0] == 404
    assert ask(place, authority, "DELETE", path)[0] == 501
    assert blobs.has(ref.sha256)


def test_a_node_refuses_content_that_does_not_have_its_hash(served: tuple[Blobs, Place], authority: Authority) -> None:
    blobs, place = served
    sha256 = "0" * 64
    assert ask(place, authority, "PUT", f"/blobs/{sha256}", b"content")[0] == 422
    assert ask(place, authority, "PUT", f"/blobs/{sha256}", **{"Content-Length": str((1 << 20) + 1)})[0] == 413
    assert not blobs.has(sha256)
    assert list(blobs.tmp_dir.iterdir()) == []


def test_a_node_with_another_certificate_or_token_is_not_used(served: tuple[Blobs, Place], tmp_path: Path) -> None:
    _, place = served
    for changed in ({"ca": Authority(tmp_path / "other").ca}, {"tokens": "3" * 32}):
        section = place.section.model_copy(update=changed)
        blobs = CachedBlobs(tmp_path / "copies", open_store(section), max_bytes=0)
        with pytest.raises(StoreUnavailable):
            blobs.put(b"x")
        with pytest.raises(StoreUnavailable):
            blobs.fetch("0" * 64)
        blobs.close()


def test_a_connection_that_the_node_has_closed_is_opened_again(served: tuple[Blobs, Place], tmp_path: Path) -> None:
    node, place = served
    blobs = CachedBlobs(tmp_path / "copies", open_store(place.section), max_bytes=1 << 20)
    ref = blobs.put(b"first")
    (kept,) = blobs.store._kept  # type: ignore[attr-defined]
    kept.sock.shutdown(2)
    assert node.read(blobs.put(b"second").sha256) == b"second"
    assert blobs.has(ref.sha256)
    blobs.close()
