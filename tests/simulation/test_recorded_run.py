"""The simulation against a recorded run of the real node (`make bench SECTION=load`): the same series, at the same times.

The constants are of series that were sent one after the other; the simulation then says how long series wait for each other that arrive
faster than one worker child analyses them.
"""

import json
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from tests.simulation.node_simulation import Constants, Simulation, Study, StudyTimes

RECORD = json.loads((Path(__file__).parent / "recorded_run.json").read_text(encoding="utf-8"))
QUEUED: list[dict[str, float]] = RECORD["queued"]


def seconds(begin: str, end: str, *, least: float = 0.0) -> float:
    """Return the median of what passed between two moments of the series that were sent alone."""
    return max(least, median(one[end] - one[begin] for one in RECORD["alone"]))


@pytest.fixture(scope="module")
def simulated() -> list[StudyTimes]:
    constants = Constants(
        receive_s=seconds("first_s", "received_s") / (RECORD["slices"] - 1),
        complete_s=seconds("received_s", "queued_s"),
        wake_s=seconds("queued_s", "started_s"),
        work_s=seconds("started_s", "reported_s"),
        deliver_s=seconds("reported_s", "delivered_s"),
    )
    return Simulation(constants, children=RECORD["children"]).run([Study(one["first_s"], RECORD["slices"]) for one in QUEUED])


def dwell(one: dict[str, Any]) -> float:
    """Return the seconds from the last instance to the stored report."""
    return float(one["delivered_s"] - one["received_s"])


def test_the_series_waited_for_each_other(simulated: list[StudyTimes]) -> None:
    alone = median(dwell(one) for one in RECORD["alone"])
    assert mean(dwell(one) for one in QUEUED) > 1.5 * alone, "the record shows no queue: there is nothing to compare"
    assert mean(found.dwell_s for found in simulated) > 1.5 * alone


def test_the_simulated_run_takes_as_long_as_the_real_one(simulated: list[StudyTimes]) -> None:
    begin = QUEUED[0]["first_s"]
    real, said = max(one["delivered_s"] for one in QUEUED) - begin, max(found.delivered_s for found in simulated) - begin
    assert said == pytest.approx(real, rel=0.1)


def test_the_series_dwell_as_long_as_the_simulation_says(simulated: list[StudyTimes]) -> None:
    assert mean(found.dwell_s for found in simulated) == pytest.approx(mean(dwell(one) for one in QUEUED), rel=0.1)
