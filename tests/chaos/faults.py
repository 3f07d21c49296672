"""Every fault there is, and how often each is drawn."""

import random
from collections.abc import Callable

from tests.chaos import faults_clock, faults_destinations, faults_disk, faults_processes, faults_servers, faults_worker
from tests.chaos.ward import Ward

Strike = Callable[[Ward, random.Random], None]
KILLS: tuple[tuple[Strike, int], ...] = (
    (faults_processes.at_a_step, 50),
    (faults_processes.at_random, 40),
    (faults_processes.worker_child, 3),
    (faults_processes.all_roles, 2),
)
OTHERS: tuple[tuple[Strike, int], ...] = (
    (faults_servers.database_restarted, 4),
    (faults_servers.database_connections_cut, 8),
    (faults_servers.database_backend_killed, 4),
    (faults_servers.broker_emptied, 6),
    (faults_servers.broker_with_old_data, 4),
    (faults_servers.message_twice, 6),
    (faults_servers.message_late, 6),
    (faults_servers.message_never, 6),
    (faults_destinations.bad_mood, 20),
    (faults_destinations.away, 6),
    (faults_destinations.away_for_72_hours, 3),
    (faults_destinations.back_with_half, 5),
    (faults_worker.out_of_memory, 4),
    (faults_worker.out_of_gpu_memory, 4),
    (faults_worker.hanging, 2),
    (faults_worker.wedged, 2),
    (faults_disk.at_a_write, 8),
    (faults_disk.full, 4),
    (faults_clock.forward, 3),
    (faults_clock.back, 3),
    (faults_processes.two_of_a_kind, 2),
)


def draw(faults: tuple[tuple[Strike, int], ...], dice: random.Random) -> Strike:
    (drawn,) = dice.choices([fault for fault, _ in faults], [weight for _, weight in faults])
    return drawn
