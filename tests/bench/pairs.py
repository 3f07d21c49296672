"""Benchmarks in pairs: the node and its peers one after the other, round by round, so that what else the machine does falls on both.

    runs = alternate({"dicom-node": ours, "Orthanc": theirs}, rounds=5)      # each callable does one run and gives its figure
    print(ratio(runs["dicom-node"], runs["Orthanc"], better="higher"))       # 1.31 (1.22 to 1.37)
    write_section("receive", markdown)                                        # docs/measurements.md, between two markers
    plot("receive", {"one association": runs}, "instances per second")        # docs/pictures/bench-receive.png

A ratio is always "how many times better than the peer": more than 1 is good whether the figure is a rate or a time. It is the median
of the ratios of the rounds; the interval is a bootstrap of that median (95 %), or the range where there are fewer than five rounds.
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

Better = Literal["higher", "lower"]
Runs = dict[str, list[float]]  # by contestant, one figure a round, in the order of the rounds


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times better than the peer, with the interval of the median."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def alternate(contestants: Mapping[str, Callable[[], float]], rounds: int, *, warm: int = 1) -> Runs:
    """Run every contestant once a round; every other round backwards, so that none is always first.

    Parameters
    ----------
    warm
        Rounds before those that count: caches, imports, connections.
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


def ratio(ours: Sequence[float], peers: Sequence[float], *, better: Better) -> Ratio:
    """The median of the rounds' ratios and its interval.

    Raises
    ------
    ValueError
        The runs are not paired.
    """
    if len(ours) != len(peers) or not ours:
        raise ValueError(f"paired runs have one figure each a round, these have {len(ours)} and {len(peers)}")
    ratios = [mine / theirs if better == "higher" else theirs / mine for mine, theirs in zip(ours, peers, strict=True)]
    if len(ratios) < ENOUGH_ROUNDS:
        return Ratio(median(ratios), min(ratios), max(ratios))
    draw = random.Random(0)
    medians = sorted(median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return Ratio(median(ratios), medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)])


def spread(figures: Sequence[float], digits: int = 0) -> str:
    """``median (least to most)``."""
    return f"{median(figures):.{digits}f} ({min(figures):.{digits}f} to {max(figures):.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def circumstances(command: str) -> str:
    """What every figure needs beside it: date, machine, load, revision, command."""
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {len(os.sched_getaffinity(0))} cores {_processor()}, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, commit {revision or 'unknown'}: `{command}`"
    )


def _processor() -> str:
    names = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


def _wrapped(line: str) -> list[str]:
    """A paragraph in lines of at most 180 characters; tables, headings and short lines as they are."""
    if len(line) <= 180 or line.startswith("|"):
        return [line]
    return textwrap.wrap(line, 180, break_long_words=False, break_on_hyphens=False)


def write_section(name: str, markdown: str, page: Path = MEASUREMENTS) -> None:
    """Put ``markdown`` between the markers of ``name``; both are made at the end of the page where they are not there yet."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    lines = [part for line in markdown.strip().splitlines() for part in _wrapped(line)]
    block = "\n".join([begin, *lines, end])
    text = page.read_text()
    before, found, rest = text.partition(begin)
    if found:
        _, closed, after = rest.partition(end)
        if not closed:
            raise ValueError(f"{page.name} has {begin} without {end}: add it where the section ends")
        page.write_text(before + block + after)
    else:
        page.write_text(f"{text.rstrip()}\n\n{block}\n")


def plot(name: str, groups: Mapping[str, Runs], unit: str) -> Path:
    """Every run as a dot, the median as a bar; one row of the picture for each group. Gives the picture's path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 0.6 + sum(0.5 + 0.32 * len(runs) for runs in groups.values())), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=[0.6 + len(runs) for runs in groups.values()])[:, 0]
    for place, (title, runs) in zip(axes, groups.items(), strict=True):
        for height, figures in enumerate(runs.values()):
            place.barh(height, median(figures), color="#9db8d6", height=0.6)
            place.plot(figures, [height] * len(figures), "o", color="#1d3557", markersize=3)
        place.set_yticks(range(len(runs)), list(runs), fontsize=8)
        place.tick_params(axis="x", labelsize=8)
        place.set_title(title, fontsize=9, loc="left")
        place.set_xlim(left=0)
        place.invert_yaxis()
    axes[-1].set_xlabel(unit, fontsize=8)
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"bench-{name}.png"
    figure.savefig(path, metadata={"Software": None})
    return path
