"""Compares the node with its peers in rounds: all run once per round, so that other work on the machine affects all alike.

    runs = run_in_turns({"dicom-node": ours, "Orthanc": theirs}, rounds=5)      # each callable does one run and returns its result
    print(median_ratio(runs["dicom-node"], runs["Orthanc"], better="higher"))       # 1.31 (1.22 to 1.37)
    write_section("receive", markdown)                                        # docs/measurements.md, between two markers
    plot_runs("receive", {"one association": runs}, "instances per second")        # docs/pictures/bench-receive.png

A ratio tells how many times better than the peer: above 1 is better, for rates and for times. It is the median of the ratios of the
rounds; its interval is a bootstrap of that median (95 %), or the range with fewer than five rounds.
"""

import os
import platform
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
MEASUREMENTS = ROOT / "docs" / "measurements.md"
PICTURES = ROOT / "docs" / "pictures"
RESAMPLES = 2000
ENOUGH_ROUNDS = 5

BetterWhen = Literal["higher", "lower"]
Runs = dict[str, list[float]]  # by contestant: one result per round, in their order


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times better than the peer, with the interval of the median."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def run_in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int, *, warm: int = 1) -> Runs:
    """Run every contestant once per round, in reverse order in every other round, so that none is always first.

    Parameters
    ----------
    warm
        Rounds that are not counted: they fill caches and load modules.
    """
    runs: Runs = {name: [] for name in contestants}
    for number in range(-warm, rounds):
        order = list(contestants) if number % 2 == 0 else list(reversed(list(contestants)))
        for name in order:
            figure = contestants[name]()
            if number >= 0:
                runs[name].append(figure)
                print(f"round {number + 1}/{rounds}  {name}: {figure:.4g}", file=sys.stderr)
    return runs


def median_ratio(ours: Sequence[float], peers: Sequence[float], *, better: BetterWhen) -> Ratio:
    """Return the median of the ratios of the rounds, with its interval.

    Raises
    ------
    ValueError
        The runs are not paired.
    """
    if len(ours) != len(peers) or not ours:
        raise ValueError(f"paired runs have one result per round each, these have {len(ours)} and {len(peers)}")
    ratios = [mine / theirs if better == "higher" else theirs / mine for mine, theirs in zip(ours, peers, strict=True)]
    if len(ratios) < ENOUGH_ROUNDS:
        return Ratio(median(ratios), min(ratios), max(ratios))
    rng = random.Random(0)
    medians = sorted(median(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return Ratio(median(ratios), medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)])


def format_spread(figures: Sequence[float], digits: int = 0) -> str:
    """Return ``median (minimum to maximum)``."""
    return f"{median(figures):.{digits}f} ({min(figures):.{digits}f} to {max(figures):.{digits}f})"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def describe_conditions(command: str) -> str:
    """Return the conditions of a measurement: date, machine, load, revision, command."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores {_processor()}, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, commit {revision or 'unknown'}: `{command}`"
    )


def _processor() -> str:
    names = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _wrap(line: str) -> list[str]:
    """Wrap a paragraph at 180 characters; tables and short lines are not changed."""
    if len(line) <= 180 or line.startswith("|"):
        return [line]
    return textwrap.wrap(line, 180, break_long_words=False, break_on_hyphens=False)


def write_section(name: str, markdown: str, page: Path = MEASUREMENTS) -> None:
    """Replace the text between the markers of ``name`` by ``markdown``. Without markers, both are added at the end of the page."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    lines = [part for line in markdown.strip().splitlines() for part in _wrap(line)]
    block = "\n".join([begin, *lines, end])
    text = page.read_text()
    before, found, rest = text.partition(begin)
    if found:
        _, closed, after = rest.partition(end)
        if not closed:
            raise ValueError(f"{page.name} has {begin} without {end}: add it at the end of the section")
        page.write_text(before + block + after)
    else:
        page.write_text(f"{text.rstrip()}\n\n{block}\n")


def plot_runs(name: str, groups: Mapping[str, Runs], unit: str) -> Path:
    """Draw every run as a dot and the median as a bar, one row per group; return the path of the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.6 + sum(0.5 + 0.32 * len(runs) for runs in groups.values())), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=[0.6 + len(runs) for runs in groups.values()])[:, 0]
    for row, (title, runs) in zip(axes, groups.items(), strict=True):
        for height, figures in enumerate(runs.values()):
            row.barh(height, median(figures), color="#9db8d6", height=0.6)
            row.plot(figures, [height] * len(figures), "o", color="#1d3557", markersize=3)
        row.set_yticks(range(len(runs)), list(runs), fontsize=8)
        row.tick_params(axis="x", labelsize=8)
        row.set_title(title, fontsize=9, loc="left")
        row.set_xlim(left=0)
        row.invert_yaxis()
    axes[-1].set_xlabel(unit, fontsize=8)
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"bench-{name}.png"
    figure.savefig(path, metadata={"Software": None})
    return path
