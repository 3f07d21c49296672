"""Sets up the node under test: disk, destinations, models, configuration; and starts it as a user does."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from db.engine import Database
from deploy.local.node_lock import running_servers
from deploy.local.ports import free_port
from models import installed
from models.bundle.convert import convert
from tests.chaos.armed_failpoints import ArmedFailpoints
from tests.chaos.destination import FaultyDestination
from tests.chaos.node_under_test import NodeUnderTest
from tests.support import node_toml
from tests.support.monai_bundles import inference, make_bundle
from tests.support.node_process import RunningNode, wait_until

TIMEOUT_S = 3.0  # how long the node waits for a destination
DATA_BYTES = 1536 << 20
CONFIG = """
[node]
port = {port}
[console]
port = {console}
[receive]
association_lease_s = 4.0
network_timeout_s = 5.0
min_free_bytes = 0
[completion]
settle_s = 1.0
quiet_s = 5.0
[worker]
device = "cpu"
lease_s = 6.0
max_attempts = 5
retry_base_s = 2.0
republish_after_s = 3.0
soft_time_limit_s = 20.0
hard_time_limit_s = 25.0
[delivery]
lease_s = 8.0
retry_base_s = 0.5
retry_cap_s = 3.0
probe_cap_s = 3.0
timeout_s = {timeout_s}
commitment_answer_s = 6.0
max_resends = 20
"""
DESTINATIONS = ("east", "west")


def node_config(
    *, port: int, console: int, destinations: tuple[FaultyDestination, FaultyDestination], peers: str = node_toml.HERE, series: bool = True
) -> str:
    """Return the node.toml of a node with short leases whose senders and destinations have the address ``peers``."""
    east, west = (destination.port for destination in destinations)
    parts = [node_toml.source(title, peers) for title in ("MODALITY", "ARCHIVE", "SCANNER")]
    parts.append(node_toml.pacs(east, "east", "EAST", host=peers, storage_commitment=True))
    parts += [node_toml.pacs(west, "west", "WEST", host=peers), node_toml.skin_route(destinations=DESTINATIONS)]
    parts += [node_toml.chest_route("brought_detector", DESTINATIONS, "chest")] if series else []
    return CONFIG.format(port=port, console=console, timeout_s=TIMEOUT_S) + "".join(parts)


def start_node_under_test(folder: Path, *, series: bool = True) -> NodeUnderTest:
    """Start a node with short leases that sends to two destinations. If a step fails, everything before it is stopped.

    ``series``: whether a model for CT series is installed; importing its bundle takes longer than the start of the node.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    data.mkdir()
    with ExitStack() as cleanup:
        has_own_disk = _mount(data)
        if has_own_disk:
            cleanup.callback(_unmount, data)
        destinations = FaultyDestination("EAST", hang_s=2 * TIMEOUT_S), FaultyDestination("WEST", hang_s=2 * TIMEOUT_S)
        for destination in destinations:
            destination.start()
            cleanup.callback(destination.stop)
        place = installed.install_version(make_quick_detector(folder), data / installed.FOLDER) if series else None
        config = folder / "node.toml"
        config.write_text(node_config(port=free_port(), console=free_port(), destinations=destinations, series=series))
        failpoints = ArmedFailpoints.create(folder / "failpoints")
        node = RunningNode(config, failpoints.environment())
        cleanup.callback(node.stop_or_kill)
        node.start()
        if place is not None:
            node.cli("models", "activate", place.card.name, place.card.version)
        servers = running_servers(data)
        assert servers is not None
        database = Database.open(servers.database, pool_size=2)
        cleanup.callback(database.dispose)
        for destination in destinations:
            destination.node_address = node.address
        target = NodeUnderTest(node, data, failpoints, destinations, database, servers, has_own_disk)
        wait_until("a worker", lambda: target.processes("worker child"))
        target.cleanup = cleanup.pop_all()
        return target


def _mount(data: Path) -> bool:
    """Mount a file system of its own, which can be filled. Only root may; otherwise ENOSPC is injected at single writes."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DATA_BYTES},mode=755", "tmpfs", str(data)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def _unmount(data: Path) -> None:
    subprocess.run(["umount", "--lazy", str(data)], check=False, capture_output=True)


def make_quick_detector(folder: Path) -> Path:
    """Import a detector that works on coarse voxels and takes milliseconds for a series."""
    config = inference((48, 48, 8))
    spacing = next(item for item in config["preprocessing"]["transforms"] if item["_target_"] == "Spacingd")
    spacing["pixdim"] = [8.0, 8.0, 4.0]
    bundle = make_bundle(folder / "zoo" / "bundle", config)
    convert(bundle, folder / "zoo" / "about.toml", folder / "made")
    return folder / "made"
