"""Faults of every kind under load: nothing is lost and nothing is done twice. A short run of ``make chaos``."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import invariants
from tests.chaos.chaos_run import ChaosPlan, ChaosRun
from tests.chaos.node_setup import start_node_under_test
from tests.chaos.node_under_test import NodeUnderTest
from tests.chaos.study_generator import EVERY_NTH_IS_CT, StudyGenerator
from tests.chaos.summary import format_summary, passed

PLAN = ChaosPlan(seed=int(os.environ.get("CHAOS_SEED", "1")), studies=8, kills=5, other_faults=6, killer_input=False)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[NodeUnderTest]:
    opened = start_node_under_test(tmp_path, series=PLAN.studies >= EVERY_NTH_IS_CT)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.timeout(3600)
# pynetdicom's requestor does not close the socket of a refused connection, and its threads raise when a connection is cut.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nothing_is_lost_and_nothing_is_doubled(target: NodeUnderTest, tmp_path: Path) -> None:
    table = ChaosRun(target, StudyGenerator(tmp_path / "sent", PLAN.seed), PLAN).run()
    print(format_summary(table))
    assert passed(table), "\n".join((format_summary(table), *target.node.errors[-60:]))
    assert table["acknowledged"] == table["instances"]
    _each_check_can_fail(target)


def _each_check_can_fail(target: NodeUnderTest) -> None:
    """Break each invariant by hand; its check must find it."""
    uid = next(iter(target.destinations[1].kept))
    del target.destinations[1].kept[uid]
    assert list(invariants.delivered(target)) == ["a report that is stored is not at WEST"]
    target.destinations[0].seen["1.2.3"] = {"a", "b"}
    assert len(list(invariants.delivered(target))) == 3, "an unknown object, of two contents"
    target.acknowledged["1.2.3"] = "0" * 64
    assert list(invariants.acknowledged(target)) == ["an acknowledged instance is not in the index"]
    (target.data / "blobs" / "tmp" / "left").touch()
    assert list(invariants.nothing_unfinished(target)) == ["temporary files: 1"]
    target.rows("UPDATE jobs SET state = 'cancelled' WHERE id = (SELECT max(id) FROM jobs WHERE state = 'delivered')")
    (violation,) = invariants.one_result(target)
    assert violation.endswith("has no result, although a route selects it")
