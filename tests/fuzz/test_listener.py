"""Hostile input to the listener: it answers everything, keeps no resources, and does not end.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` select another or a longer run: ``make fuzz SEED=7 N=10000``.
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
from tests.fuzz.listener_process import RSS_MIB, ListenerProcess, assert_no_growth, running_listener
from tests.fuzz.raw_association import Response
from tests.support.series import image
from tests.support.storage_scu import send

SEED = int(os.environ.get("FUZZ_SEED", "1"))
COUNT = int(os.environ.get("FUZZ_INPUTS", "240"))
AT_ONCE = 4
WARM_UP = 0.4  # of the inputs: heap, thread stacks and connection pool have their size by then
UNEXPECTED = 0xC001


@pytest.fixture(scope="module")
def target(fuzz_folder: Path, fuzz_database_url: str) -> Iterator[ListenerProcess]:
    with running_listener(fuzz_folder, fuzz_database_url) as running:
        yield running


@pytest.mark.timeout(7200)
def test_every_input_is_answered_and_leaves_nothing(target: ListenerProcess) -> None:
    every = inputs(SEED, COUNT)
    began = time.monotonic()
    responses = send_inputs(target, every, int(COUNT * WARM_UP))
    before = target.resource_use()
    responses += send_inputs(target, every, COUNT)
    after = target.resource_use(before.rss_mib + RSS_MIB)
    assert target.alive
    assert [name for name, response in responses if response.words == "hung"] == []
    assert [name for name, response in responses if UNEXPECTED in response.statuses] == []
    assert target.defects() == []
    assert_no_growth(before, after)
    assert [path for path in target.blobs.rglob("*") if path.is_file() and len(path.name) != 64] == []
    assert send(target.port, image(number=1)) == [0x0000]  # and it still receives
    counted = Counter(response.words for _, response in responses)
    print(f"seed {SEED}: {len(responses)} inputs in {time.monotonic() - began:.0f} s; before {before}, after {after}")
    print(", ".join(f"{words}: {count}" for words, count in counted.most_common()))


def send_inputs(target: ListenerProcess, stream: Iterator[Input], maximum: int) -> list[tuple[str, Response]]:
    """Send up to ``maximum`` inputs over a few connections at once; return their names and responses."""
    taken = islice(stream, maximum)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda item: (item.name, _send(target, item)), taken))


def _send(target: ListenerProcess, item: Input) -> Response:
    assert target.alive, f"the listener ended before or at '{item.name}':\n" + "".join(target.log[-20:])
    return item.send(target.port)
