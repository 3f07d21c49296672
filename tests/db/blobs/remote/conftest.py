"""Both stores of blobs on another machine, real: a bucket of SeaweedFS, and a node that serves its folder over HTTPS."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from core.settings.servers import StoreSection
from core.settings.settings import Settings
from db.blobs.open_blobs import open_store
from db.blobs.remote.cached_blobs import CachedBlobs
from db.blobs.store import Blobs
from dicom_node.blob_service.service import BlobService
from tests.support.certificates import Authority
from tests.support.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFs

TOKEN, OTHER_TOKEN = "1" * 32, "2" * 40


@dataclass(frozen=True)
class Place:
    """A store: the settings of a machine that uses it, and ``damage``, which replaces what the server has under a hash."""

    section: StoreSection
    damage: Callable[[str, bytes], object]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def served(authority: Authority, tmp_path: Path) -> Iterator[tuple[Blobs, Place]]:
    """A node that serves its blobs, and what another machine needs to know of it."""
    cert, key = authority.sign("node")
    serve = {"port": 0, "tls": {"cert": cert, "key": key}}
    store = {"tokens": f"{OTHER_TOKEN}\n{TOKEN}\n", "serve": serve}
    settings = Settings.model_validate({"store": store, "receive": {"max_instance_bytes": 1 << 20, "min_free_bytes": 0}})
    blobs = Blobs(tmp_path / "node" / "blobs")
    with BlobService(settings, blobs) as service:
        section = StoreSection(url=f"https://127.0.0.1:{service.port}", tokens=TOKEN, ca=authority.ca, timeout_s=20.0)
        yield blobs, Place(section, lambda sha256, content: blobs.path(sha256).write_bytes(content))


@pytest.fixture(params=["s3", "node"])
def place(request: pytest.FixtureRequest) -> Place:
    """A store of each kind."""
    if request.param == "node":
        found: Place = request.getfixturevalue("served")[1]
        return found
    seaweed: SeaweedFs = request.getfixturevalue("seaweed")
    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "region": "us-east-1"}
    bucket = S3Store("blobs", prefix="site", endpoint=seaweed.endpoint, client_options={"allow_http": True}, **keys)  # type: ignore[call-overload]
    return Place(seaweed.section(), lambda sha256, content: obstore.put(bucket, f"{sha256[:2]}/{sha256}", content))


@pytest.fixture
def machine(place: Place, tmp_path: Path) -> Iterator[Callable[..., CachedBlobs]]:
    """Returns the blobs as another machine sees them: each call makes an empty folder for copies."""
    opened: list[CachedBlobs] = []

    def open_another(*, max_bytes: int = 1 << 30) -> CachedBlobs:
        opened.append(CachedBlobs(tmp_path / f"machine-{len(opened)}", open_store(place.section), max_bytes=max_bytes))
        return opened[-1]

    yield open_another
    for blobs in opened:
        blobs.close()
