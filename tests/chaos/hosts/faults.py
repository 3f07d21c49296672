"""Faults between hosts: cut off, failed over, lost, slow. Each ends with everything connected again."""

import random
import time
from typing import Any

from tests.chaos import faults_processes
from tests.chaos.faults import Fault, WeightedFaults
from tests.chaos.hosts.hosts_under_test import HostsUnderTest
from tests.chaos.node_under_test import ROLES
from tests.chaos.senders import deliver, store
from tests.support.node_process import wait_until

SCANNER = "SCANNER"
DELAY_MS, LOSS = 100.0, 0.05  # in each direction: 200 ms more for a round trip
RECOVERY_S = 300.0
_LISTENER = "SELECT listener FROM associations WHERE calling_ae = :title AND closed_at IS NULL ORDER BY opened_at DESC LIMIT 1"
VICTIMS = (*ROLES, "worker child", "listen", "conduct", "relay", "send")


def kill_any(target: HostsUnderTest, rng: random.Random) -> None:
    """Kill any process of the node, on any host."""
    target.kill(rng.choice(VICTIMS), rng)


def cut_host_in_study(target: HostsUnderTest, rng: random.Random) -> None:
    """Cut off the host that has received half of a study, longer than its leases last, while the rest is sent; it returns."""
    study = target.next_study()
    half = len(study.instances) // 2
    cut: list[str] = []

    def cut_off(number: int, _association: object) -> None:
        if number == half:
            (row,) = target.rows(_LISTENER, title=SCANNER)
            cut.append(row.listener.partition(":")[0])
            target.network.cut(cut[0])

    began = time.monotonic()
    remaining = store(target, study.instances, title=SCANNER, before=cut_off)
    deliver(target, remaining, title=SCANNER)
    if not cut:  # the association was not established until its half
        return
    target.measure("study sent while its host was cut off, s", time.monotonic() - began)
    time.sleep(max(0.0, rng.uniform(15.0, 30.0) - (time.monotonic() - began)))
    target.network.join(cut[0])
    target.count("host cut off in a study")


def fail_over(target: HostsUnderTest, rng: random.Random) -> None:
    """Lose the host of the primary without a word, promote the standby, and take the old one back as the new standby."""
    pair = target.postgres
    cut_at = time.monotonic()
    target.network.cut(pair.primary.host.name)
    time.sleep(rng.uniform(1.0, 3.0))
    pair.primary.power_off()
    target.measure("standby promoted, s", pair.promote_standby())
    promoted_at, ((since,),) = time.monotonic(), pair.primary.execute("SELECT node_now()")
    wait_until("every role after the fail-over", lambda: _all_beat(target, since), timeout_s=RECOVERY_S)
    target.measure("from loss of the primary to every role, s", time.monotonic() - cut_at)
    if target.last_acknowledged > promoted_at:
        target.measure("from loss of the primary to an acknowledged instance, s", target.last_acknowledged - cut_at)
    target.network.join(pair.standby.host.name)
    pair.add_standby()
    target.count("PostgreSQL failed over")


def _all_beat(target: HostsUnderTest, since: Any) -> bool:
    """Whether each role on each host has written a heartbeat to the new primary."""
    rows = target.postgres.primary.execute("SELECT role, name, at FROM heartbeats")
    beats = {(role, str(name).partition(":")[0]) for role, name, at in rows if at > since}
    return all((role, host.on.name) in beats for role in ("listen", "conduct", "relay", "send", "worker") for host in target.hosts)


def lose_broker(target: HostsUnderTest, rng: random.Random) -> None:
    """Kill Valkey; it comes back empty."""
    target.broker.kill()
    time.sleep(rng.uniform(2.0, 6.0))
    target.broker.start()
    target.count("broker lost")


def power_off_broker(target: HostsUnderTest, rng: random.Random) -> None:
    """Lose Valkey's host without a word; it comes back empty, and knows no connection."""
    name = target.broker.host.name
    target.network.cut(name)
    target.broker.kill()
    time.sleep(rng.uniform(2.0, 6.0))
    target.broker.start()
    target.network.join(name)
    target.count("broker's host lost")


def delay_link(target: HostsUnderTest, rng: random.Random) -> None:
    """Give one host's link a longer round trip and loss of frames."""
    before = target.wire.counted()
    target.wire.set(delay_ms=DELAY_MS, loss=LOSS)
    time.sleep(rng.uniform(20.0, 40.0))
    target.wire.set()
    after = target.wire.counted()
    target.measure("frames lost on the bad link", after["lost"] - before["lost"])
    target.count("link slow and lossy")


def cut_store(target: HostsUnderTest, rng: random.Random) -> None:
    """Cut off the S3 server for some seconds."""
    target.network.cut("store")
    time.sleep(rng.uniform(3.0, 12.0))
    target.network.join("store")
    target.count("store cut off")


DECK: tuple[Fault, ...] = (cut_host_in_study, fail_over, lose_broker, delay_link, power_off_broker, cut_host_in_study, cut_store)


def draw_from_deck(target: HostsUnderTest, rng: random.Random) -> None:
    """Inject the next fault of a shuffled deck: each kind happens before one is repeated."""
    if not target.deck:
        target.deck[:] = rng.sample(DECK, len(DECK))
    target.deck.pop()(target, rng)


KILLS: WeightedFaults = ((faults_processes.kill_at_failpoint, 50), (kill_any, 40), (faults_processes.kill_worker_child, 3))
FAULTS: WeightedFaults = ((draw_from_deck, 1),)
