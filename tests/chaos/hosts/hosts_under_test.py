"""The node on several hosts, and what the harness records about it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from core.errors import StorageError
from core.settings.servers import StoreSection
from db.blobs.open_blobs import open_store
from db.blobs.remote.cached_blobs import CachedBlobs
from tests.chaos.hosts.host_node import HostNode
from tests.chaos.hosts.network import Network, Wire
from tests.chaos.hosts.postgres import PostgresPair
from tests.chaos.hosts.servers import ValkeyServer
from tests.chaos.node_under_test import NodeUnderTest, temporary_files_of
from tests.chaos.study_generator import Study, StudyGenerator

FIRST_NUMBER = 500_000  # of the studies that faults send themselves


@dataclass(slots=True, kw_only=True)
class HostsUnderTest(NodeUnderTest):
    """A `NodeUnderTest` on two hosts, with servers on hosts of their own.

    Attributes
    ----------
    deck
        The faults that are drawn before one is repeated.
    """

    network: Network
    hosts: tuple[HostNode, HostNode]
    wire: Wire
    postgres: PostgresPair
    broker: ValkeyServer
    store: StoreSection
    generator: StudyGenerator
    deck: list[Any] = field(default_factory=list)
    studies_made: int = 0

    def next_study(self) -> Study:
        """Return a CT series that nobody else sends."""
        self.studies_made += 1
        return self.generator.series_study(FIRST_NUMBER + self.studies_made)

    def measure(self, what: str, seconds: float) -> None:
        """Record a figure."""
        self.figures.setdefault(what, []).append(round(seconds, 1))

    def read_blob(self, sha256: str) -> bytes:
        """Return the content of a blob from the S3 server; nothing where there is none. No copy is used."""
        try:
            return b"".join(open_store(self.store).get(sha256))
        except StorageError:
            return b""

    def blob_names(self) -> Iterator[str]:
        """Yield the hashes of all blobs in the S3 server."""
        copies = CachedBlobs(self.data / "harness", open_store(self.store), max_bytes=0)
        yield from (name for names in copies.folders() for name in names)
        copies.close()
        shutil.rmtree(self.data / "harness")

    def temporary_files(self) -> Iterator[str]:
        """Yield the names of temporary files on all hosts."""
        for host in self.hosts:
            folder = self.data / host.on.name
            yield from temporary_files_of(folder / "blob-cache", folder / "models")
