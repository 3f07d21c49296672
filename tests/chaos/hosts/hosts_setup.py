"""Starts the node on two hosts behind HAProxy, with three workers, a PostgreSQL pair, Valkey and an S3 server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.settings.servers import StoreSection
from db.engine import Database
from deploy.local.node_lock import ServerUrls
from models import installed
from tests.chaos.armed_failpoints import ArmedFailpoints
from tests.chaos.destination import FaultyDestination
from tests.chaos.hosts.host_node import BalancedNode, HostNode
from tests.chaos.hosts.hosts_under_test import HostsUnderTest
from tests.chaos.hosts.network import HARNESS, Network
from tests.chaos.hosts.postgres import PostgresPair, PostgresServer
from tests.chaos.hosts.servers import BALANCED_PORT, DICOM_PORT, ValkeyServer, start_haproxy, start_s3
from tests.chaos.node_setup import TIMEOUT_S, make_quick_detector, node_config
from tests.chaos.study_generator import StudyGenerator
from tests.support.node_process import wait_until

CONSOLE_PORT = 8484
CLOCK_S = 300  # by how much the second host and the standby's host are ahead
EVERY_NTH_IS_CT = 4
WORKERS = 3


def start_hosts(folder: Path, seed: int) -> HostsUnderTest:
    """Start everything. Nothing has to be stopped: the kernel ends it with the namespaces that this runs in."""
    network = Network.create()
    host_a = network.add("a", 11)
    host_b, wire = network.add_behind_wire("b", 12, folder, clock_s=CLOCK_S)
    balancer, broker = network.add("lb", 10), ValkeyServer(network.add("cache", 31))
    servers = [
        PostgresServer(network.add(name, n, clock_s=clock), folder / name) for name, n, clock in (("db1", 21, 0), ("db2", 22, CLOCK_S))
    ]
    postgres = PostgresPair(*servers)
    store = start_s3(network.add("store", 41), folder / "s3")
    postgres.start()
    broker.start()
    start_haproxy(balancer, folder, (host_a, host_b))
    east, west = (FaultyDestination(title, hang_s=2 * TIMEOUT_S, host=HARNESS) for title in ("EAST", "WEST"))
    destinations = (east, west)
    for destination in destinations:
        destination.start()
        destination.node_address = (balancer.address, BALANCED_PORT)
    config = folder / "node.toml"
    text = node_config(port=DICOM_PORT, console=CONSOLE_PORT, destinations=destinations, peers=HARNESS)
    config.write_text(text.replace("[receive]", f'[receive]\nproxies = ["{balancer.address}"]'))
    failpoints = ArmedFailpoints.create(folder / "failpoints")
    given = {
        "WORKER__SOFT_TIME_LIMIT_S": "120", "WORKER__HARD_TIME_LIMIT_S": "150",  # three workers share the cores of one machine
        "DATABASE__URL": postgres.url, "BROKER__URL": broker.url, "NODE__HOST": "0.0.0.0", "CONSOLE__HOST": "0.0.0.0",
        **{f"STORE__{key.upper()}": value for key, value in store.items()},
    }  # fmt: skip
    environ = {**{f"DICOM_NODE_{key}": value for key, value in given.items()}, **failpoints.environment()}
    detector = make_quick_detector(folder)
    nodes = []
    for host in (host_a, host_b):
        place = installed.install_version(detector, folder / host.name / installed.FOLDER)
        nodes.append(HostNode(host, config, {**environ, "DICOM_NODE_NODE__DATA_DIR": str(folder / host.name)}))
    with ThreadPoolExecutor() as pool:  # both at once: the schema is upgraded by one of them
        list(pool.map(HostNode.start, nodes))
    for node in nodes:
        node.console = f"http://{node.on.address}:{CONSOLE_PORT}"
    nodes[1].start_worker(folder / "worker-3.log")
    nodes[0].cli("models", "activate", place.card.name, place.card.version)
    environ["DICOM_NODE_NODE__DATA_DIR"] = str(folder / "a")
    balanced = BalancedNode(config, environ, nodes, (balancer.address, BALANCED_PORT))
    database = Database.open(postgres.url, pool_size=2)
    target = HostsUnderTest(
        balanced, folder, failpoints, destinations, database, ServerUrls(postgres.url, broker.url), False,
        network=network, hosts=(nodes[0], nodes[1]), wire=wire, postgres=postgres, broker=broker,
        store=StoreSection.model_validate(store), generator=StudyGenerator(folder / "sent", seed, every_nth_is_ct=EVERY_NTH_IS_CT),
    )  # fmt: skip
    wait_until("three workers", lambda: len(target.processes("worker child")) >= WORKERS)
    return target
