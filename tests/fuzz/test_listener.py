"""Hostile input against the real listener: it answers everything, keeps nothing that it need not, and lives.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` make it another and longer: ``make fuzz SEED=7 N=10000``.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from tests.fuzz.inputs import Input, inputs
from tests.fuzz.target import Target, flat, listening
from tests.fuzz.wire import Ending
from tests.support.series import image
from tests.support.storage_scu import send

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_INPUTS", "400"))
AT_ONCE = 4
WARM_UP = 0.4  # of the inputs: heap, thread stacks and connection pool have their size by then
UNEXPECTED = 0xC001


@pytest.fixture(scope="module")
def target(fuzz_folder: Path, fuzz_database_url: str) -> Iterator[Target]:
    with listening(fuzz_folder, fuzz_database_url) as running:
        yield running


@pytest.mark.timeout(7200)
def test_every_input_has_an_ending_and_nothing_is_left_of_it(target: Target) -> None:
    every = inputs(SEED, COUNT)
    began = time.monotonic()
    endings = run(target, every, int(COUNT * WARM_UP))
    before = target.vitals()
    endings += run(target, every, COUNT)
    after = target.vitals()
    assert target.alive
    assert [name for name, ending in endings if ending.words == "hung"] == []
    assert [name for name, ending in endings if UNEXPECTED in ending.statuses] == []
    assert target.defects() == []
    flat(before, after)
    assert [path for path in target.blobs.rglob("*") if path.is_file() and len(path.name) != 64] == []
    assert send(target.port, image(number=1)) == [0x0000]  # and it serves as if nothing had been
    counted = Counter(ending.words for _, ending in endings)
    print(f"seed {SEED}: {len(endings)} inputs in {time.monotonic() - began:.0f} s; before {before}, after {after}")
    print(", ".join(f"{words}: {count}" for words, count in counted.most_common()))


def run(target: Target, some: Iterator[Input], most: int) -> list[tuple[str, Ending]]:
    """Send up to ``most`` of the inputs over a few connections at once."""
    taken = islice(some, most)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda one: (one.name, _sent(target, one)), taken))


def _sent(target: Target, one: Input) -> Ending:
    assert target.alive, f"the listener died before or at '{one.name}':\n" + "".join(target.log[-20:])
    return one.send(target.port)
