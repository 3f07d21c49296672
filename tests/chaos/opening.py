"""A ward: its disk, destinations, models and configuration, and the node started as a user would."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from db.engine import Database
from deploy.local.node_lock import running_servers
from deploy.local.ports import free_port
from models import installed
from models.bundle.convert import convert
from tests.chaos.arms import Arms
from tests.chaos.peer import Peer
from tests.chaos.ward import Ward
from tests.support.monai_bundles import inference, make_bundle
from tests.support.node_process import RunningNode, wait_until

TIMEOUT_S = 3.0  # of the node towards its destinations
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
[[sources]]
ae_title = "MODALITY"
host = "127.0.0.1"
[[sources]]
ae_title = "ARCHIVE"
host = "127.0.0.1"
[[destinations]]
name = "east"
ae_title = "EAST"
host = "127.0.0.1"
port = {east}
accept_research = true
storage_commitment = true
[[destinations]]
name = "west"
ae_title = "WEST"
host = "127.0.0.1"
port = {west}
accept_research = true
[[routes]]
name = "skin"
model = "dermoscopy_7class"
destinations = ["east", "west"]
when = {{ Modality = "DMS" }}
[[routes]]
name = "chest"
model = "brought_detector"
destinations = ["east", "west"]
when = {{ Modality = "CT" }}
"""


def open_ward(folder: Path) -> Ward:
    """Destinations, models, and a node with short leases that sends to both destinations. What fails on the way leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    data.mkdir()
    with ExitStack() as undone:
        own_disk = _mount(data)
        if own_disk:
            undone.callback(_unmount, data)
        peers = Peer("EAST", hang_s=2 * TIMEOUT_S), Peer("WEST", hang_s=2 * TIMEOUT_S)
        for peer in peers:
            peer.start()
            undone.callback(peer.stop)
        place = installed.install(_quick_detector(folder), data / installed.FOLDER)
        config = folder / "node.toml"
        ports = {"port": free_port(), "console": free_port(), "east": peers[0].port, "west": peers[1].port}
        config.write_text(CONFIG.format(timeout_s=TIMEOUT_S, **ports))
        arms = Arms.laid(folder / "arms")
        node = RunningNode(config, arms.environment())
        undone.callback(node.stop_or_kill)
        node.start()
        node.cli("models", "activate", place.card.name, place.card.version)
        servers = running_servers(data)
        assert servers is not None
        database = Database.open(servers.database, pool_size=2)
        undone.callback(database.dispose)
        for peer in peers:
            peer.node_port = node.port
        ward = Ward(node, data, arms, peers, database, servers, own_disk)
        wait_until("a worker", lambda: ward.processes("worker child"))
        ward.undone = undone.pop_all()
        return ward


def _mount(data: Path) -> bool:
    """A disk of its own, so that it can be full: only root may mount one. Else full disks are injected, write by write."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DATA_BYTES},mode=755", "tmpfs", str(data)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def _unmount(data: Path) -> None:
    subprocess.run(["umount", "--lazy", str(data)], check=False, capture_output=True)


def _quick_detector(folder: Path) -> Path:
    """A real network, imported as a person would, that looks at coarse voxels: milliseconds a series."""
    config = inference((48, 48, 8))
    spacing = next(one for one in config["preprocessing"]["transforms"] if one["_target_"] == "Spacingd")
    spacing["pixdim"] = [8.0, 8.0, 4.0]
    bundle = make_bundle(folder / "zoo" / "bundle", config)
    convert(bundle, folder / "zoo" / "about.toml", folder / "made")
    return folder / "made"
