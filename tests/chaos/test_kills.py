"""Kill anything, lose nothing, double nothing: the short share of it.

``CHAOS_SEED`` and ``CHAOS_STUDIES`` make it another and longer: ``make chaos SEED=7 N=200``.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.driver import Ward, deliver, open_ward, photographs, quiet, short_series, strike, verify

SEED = int(os.environ.get("CHAOS_SEED", "1"))
STUDIES = int(os.environ.get("CHAOS_STUDIES", "24"))
SECONDS_BETWEEN_FAULTS = 2.5


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    opened = open_ward(tmp_path)
    try:
        yield opened
    finally:
        opened.node.kill_gently()
        for destination in opened.destinations:
            destination.stop()


@pytest.mark.timeout(3600)
# pynetdicom's requestor leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_nothing_is_lost_and_nothing_is_doubled(ward: Ward, tmp_path: Path) -> None:
    studies = [[path] for path in photographs(tmp_path, STUDIES, SEED)]
    studies += [short_series(tmp_path / f"ct{number}", SEED * 1000 + number) for number in range(max(1, STUDIES // 24))]
    dice = random.Random(SEED)
    dice.shuffle(studies)
    faults = max(8, STUDIES // 3)

    def strikes() -> None:
        while sum(ward.faults.values()) < faults:
            time.sleep(dice.uniform(0.2, 2 * SECONDS_BETWEEN_FAULTS))
            strike(ward, dice)

    striker = threading.Thread(target=strikes, daemon=True)
    striker.start()
    pace = random.Random(SEED + 1)
    for files in studies:
        deliver(ward, files)
        time.sleep(pace.uniform(0.0, 2 * faults * SECONDS_BETWEEN_FAULTS / len(studies)))
    striker.join()
    export = quiet(ward, len(studies))
    verify(ward, export)
    print(f"seed {SEED}: {len(studies)} studies, {sum(map(len, studies))} instances, faults {dict(ward.faults)}, {ward.refused} sent again")
