"""The figures of docs/scale.md: by its formulas, and by a simulation of the busiest hour."""

import re
from pathlib import Path

import pytest

from tests.simulation.node_simulation import Constants, Simulation, poisson_arrivals

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
SIZES = ("department", "hospital group", "country")
STUDIES = dict(zip(SIZES, (50_000, 2_000_000, 50_000_000), strict=True))
HOURS, PEAK, SLICES, SLICE_BYTES = 2_500, 3, 300, 0.53e6
LISTENER_S, DATABASE_S, WORK_S, ROW_BYTES = 0.0028, 0.0010, 17.4, 2.9e3
LINK_BYTES_S = 1e9 / 8
BUSY = 0.5  # of the worker children, in the busiest hour


def row(name: str) -> list[str]:
    """Return the cells of a row of the page, by the beginning of its first cell."""
    found = re.search(rf"^\| {re.escape(name)}[^|]*\|(.*)\|$", PAGE, re.MULTILINE)
    assert found is not None, name
    return [cell.strip() for cell in found[1].split("|")]


def number(cell: str) -> float:
    """Return the first number of a cell: "1.7 TB" is 1.7e12, "3,000" is 3000."""
    found = re.search(r"([\d,.]*\d)(?: (million|billion|MB|GB|TB|PB))?", cell)
    assert found is not None, cell
    scale = {None: 1, "million": 1e6, "billion": 1e9, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}
    return float(found[1].replace(",", "")) * scale[found[2]]


FORMULAS = {
    "studies a year": lambda studies, _: studies,
    "instances a second, busiest hour": lambda _, hourly: hourly * SLICES / 3600,
    "network in, busiest hour": lambda _, hourly: hourly * SLICES * SLICE_BYTES / 3600,
    "images a year": lambda studies, _: studies * SLICES * SLICE_BYTES,
    "rows of `instances` a year": lambda studies, _: studies * SLICES,
    "cores: listener": lambda _, hourly: hourly * SLICES / 3600 * LISTENER_S,
    "cores: PostgreSQL, receiving": lambda _, hourly: hourly * SLICES / 3600 * DATABASE_S,
    "cores: workers on CPU": lambda _, hourly: hourly * WORK_S / 3600,
    "worker children, half busy": lambda _, hourly: hourly * WORK_S / 3600 / BUSY,
    "database after a year, nothing deleted": lambda studies, _: studies * SLICES * ROW_BYTES,
    "images kept for 30 days": lambda studies, _: studies * SLICES * SLICE_BYTES * 30 / 365,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_tables_follow_from_the_constants(name: str) -> None:
    for size, cell in zip(SIZES, row(name), strict=True):
        hourly = STUDIES[size] / HOURS * PEAK
        value = FORMULAS[name](STUDIES[size], hourly)
        shown = number(cell)
        rounded = abs(shown - value) <= 0.08 * value or (shown < 0.02 and value < 0.02) or (shown == 1 and value < 1)
        assert rounded, f"{size}: {cell}, calculated {value:.3g}"


@pytest.mark.parametrize(("size", "children"), [("department", 1), ("hospital group", 24)])
def test_the_simulated_busiest_hour_has_the_cores_of_the_formulas(size: str, children: int) -> None:
    hourly = STUDIES[size] / HOURS * PEAK
    hours = 4.0 if size == "department" else 0.5
    studies = poisson_arrivals(hourly, hours, SLICES, seed=7)
    simulation = Simulation(Constants(LISTENER_S, 1.0, 0.1, WORK_S, 0.1, SLICE_BYTES / LINK_BYTES_S), children=children)
    times = simulation.run(studies)
    share = simulation.utilisation(max(found.delivered_s for found in times))
    arrived = len(studies) / hours  # the random number of studies is not what is tested
    assert share["workers"] * children == pytest.approx(arrived * WORK_S / 3600, rel=0.05)
    assert share["listeners"] == pytest.approx(arrived * SLICES * LISTENER_S / 3600, rel=0.05)
    assert share["network"] == pytest.approx(arrived * SLICES * SLICE_BYTES / LINK_BYTES_S / 3600, rel=0.05)
    if size == "hospital group":  # half busy: nobody waits for a child
        assert sorted(found.claimed_s - found.queued_s for found in times)[int(0.95 * len(times))] < 1.0


@pytest.mark.parametrize(("children", "first"), [(12, "workers"), (24, "network")])
def test_what_saturates_first_in_a_hospital_group(children: int, first: str) -> None:
    """Below 14 children the workers, with more of them a network of 1 Gbit/s; the listener never."""
    studies = poisson_arrivals(1.25 * STUDIES["hospital group"] / HOURS * PEAK, 0.2, SLICES, seed=7)
    simulation = Simulation(Constants(LISTENER_S, 1.0, 0.1, WORK_S, 0.1, SLICE_BYTES / LINK_BYTES_S), children=children)
    times = simulation.run(studies)
    share = simulation.utilisation(max(found.delivered_s for found in times))
    assert max(share, key=lambda name: share[name]) == first
    assert share[first] > 0.95


def test_a_queue_with_one_worker_waits_as_long_as_theory_says() -> None:
    """M/D/1: constant work, random arrivals. Mean wait = work x load / (2 (1 - load)) (Pollaczek-Khinchine)."""
    studies = poisson_arrivals(3600 * 0.8 / 2.0, 8.0, 0, seed=3)
    times = Simulation(Constants(0.0, 0.0, 0.0, 2.0, 0.0)).run(studies)
    waits = [found.claimed_s - found.queued_s for found in times]
    load = len(studies) * 2.0 / (8.0 * 3600)
    assert sum(waits) / len(waits) == pytest.approx(2.0 * load / (2 * (1 - load)), rel=0.12)
