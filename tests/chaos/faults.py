"""All faults, with the weight with which each is drawn."""

import random
from collections.abc import Callable

from tests.chaos import faults_clock, faults_destinations, faults_disk, faults_processes, faults_servers, faults_worker
from tests.chaos.node_under_test import NodeUnderTest

Fault = Callable[[NodeUnderTest, random.Random], None]
WeightedFaults = tuple[tuple[Fault, int], ...]
KILLS: WeightedFaults = (
    (faults_processes.kill_at_failpoint, 50),
    (faults_processes.kill_any, 40),
    (faults_processes.kill_worker_child, 3),
    (faults_processes.kill_all_roles, 2),
)
OTHER_FAULTS: WeightedFaults = (
    (faults_servers.restart_database, 4),
    (faults_servers.cut_database_connections, 8),
    (faults_servers.kill_database_backend, 4),
    (faults_servers.empty_broker, 6),
    (faults_servers.restore_old_broker_data, 4),
    (faults_servers.duplicate_messages, 6),
    (faults_servers.delay_messages, 6),
    (faults_servers.lose_messages, 6),
    (faults_destinations.misbehave, 20),
    (faults_destinations.unreachable, 6),
    (faults_destinations.unreachable_for_72_hours, 3),
    (faults_destinations.lose_half, 5),
    (faults_worker.exhaust_memory, 4),
    (faults_worker.exhaust_gpu_memory, 4),
    (faults_worker.hang, 2),
    (faults_worker.hang_ignoring_signals, 2),
    (faults_disk.fail_one_write, 8),
    (faults_disk.fill_disk, 4),
    (faults_clock.move_forward, 3),
    (faults_clock.move_back, 3),
    (faults_processes.run_second_processes, 2),
)


def draw_fault(faults: WeightedFaults, rng: random.Random) -> Fault:
    """Draw one fault by its weight."""
    (drawn,) = rng.choices([fault for fault, _ in faults], [weight for _, weight in faults])
    return drawn
