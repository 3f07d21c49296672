"""A whole node (``dicom-node up``, one worker child) with one PACS, for the benchmarks that send units through it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pynetdicom import build_context

from db.engine import Database
from deploy.demo.pacs.storage_scp import StorageScp
from deploy.local.node_lock import running_servers
from dicom_node.sockets import NodeEntity
from tests.support import node_toml
from tests.support.node_process import RunningNode, wait_until
from tests.support.records import scalar

SETTLE_S, SENDER = 1.0, "CAMERA"


@contextmanager
def node_with_pacs(folder: Path) -> Iterator[tuple[int, Database]]:
    """Run both; yield the node's DICOM port and its database when the worker is ready."""
    pacs = StorageScp(folder / "pacs")
    pacs.start()
    config = folder / "node.toml"
    config.write_text(
        f"{node_toml.ports()}[receive]\nmin_free_bytes = 0\n"
        f"[completion]\nsettle_s = {SETTLE_S}\n{node_toml.source(SENDER)}{node_toml.pacs(pacs.port)}"
        f"{node_toml.skin_route()}{node_toml.chest_route()}"
    )
    node = RunningNode(config).start()
    try:
        servers = running_servers(folder / "data")
        assert servers is not None
        with Database.open(servers.database, pool_size=1) as database:
            wait_until("the worker", lambda: scalar(database, "SELECT count(*) FROM heartbeats WHERE role = 'worker'"), 180)
            yield node.port, database
    finally:
        node.stop_or_kill()
        pacs.stop()


def send_unit(port: int, paths: Sequence[Path]) -> None:
    """Send the images of one unit on an association of its own."""
    images = [dcmread(path) for path in paths]
    entity = NodeEntity(SENDER)
    entity.requested_contexts = [build_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)]
    association = entity.associate("127.0.0.1", port, ae_title="DICOMNODE")
    assert association.is_established
    assert [association.send_c_store(image).Status for image in images] == [0] * len(images)
    association.release()


def delivered_jobs(database: Database) -> int:
    """Return the number of jobs whose reports are at the PACS."""
    return int(str(scalar(database, "SELECT count(*) FROM jobs WHERE state = 'delivered'")))
