"""Kill anything, lose nothing, double nothing: the short share of ``make chaos SEED=... N=...``."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import invariants
from tests.chaos.campaign import Campaign, Plan
from tests.chaos.opening import open_ward
from tests.chaos.studies import Pool
from tests.chaos.table import held, show
from tests.chaos.ward import Ward

PLAN = Plan(seed=int(os.environ.get("CHAOS_SEED", "1")), studies=14, kills=16, others=8, poison=False)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    opened = open_ward(tmp_path)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.timeout(900)
# pynetdicom's requestor leaves the socket of a refused connection to the garbage collector, and its threads those of one that was cut.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nothing_is_lost_and_nothing_is_doubled(ward: Ward, tmp_path: Path) -> None:
    table = Campaign(ward, Pool(tmp_path / "sent", PLAN.seed), PLAN).run()
    print(show(table))
    assert held(table), "\n".join((show(table), *ward.node.errors[-60:]))
    assert table["acknowledged"] == table["instances"]
    _each_check_can_fail(ward)


def _each_check_can_fail(ward: Ward) -> None:
    """What held is now broken by hand, and found."""
    uid = next(iter(ward.peers[1].kept))
    del ward.peers[1].kept[uid]
    assert list(invariants.delivered(ward)) == ["a report that counts as stored is not at WEST"]
    ward.peers[0].seen["1.2.3"] = {"a", "b"}
    assert len(list(invariants.delivered(ward))) == 3, "a stranger, of two contents"
    ward.acknowledged["1.2.3"] = "0" * 64
    assert list(invariants.acknowledged(ward)) == ["an acknowledged instance is not in the index"]
    (ward.data / "blobs" / "tmp" / "left").touch()
    assert list(invariants.at_rest(ward)) == ["temporary files: 1"]
    ward.rows("UPDATE jobs SET state = 'cancelled' WHERE id = (SELECT max(id) FROM jobs WHERE state = 'delivered')")
    (words,) = invariants.one_result(ward)
    assert words.endswith("has no result, although a route takes it")
