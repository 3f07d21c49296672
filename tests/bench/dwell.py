"""Measures dwell time: from the acknowledgement of the last image to the stored report, without the model's forward time, by stage.

    make bench SECTION=dwell

A whole node (``dicom-node up``) and one PACS; photographs and short CT series are sent one after the other. The times are those that
the node itself records in its database.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import text

from db.engine import Database
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, work_folder
from tests.bench.node_with_pacs import SETTLE_S, delivered_jobs, node_with_pacs, send_unit
from tests.support.node_process import wait_until

STAGES = (
    "conductor: complete, routed",
    "settle",
    "relay: on the queue",
    "worker: claimed",
    "verify, decode",
    "encode, validate",
    "sender: claimed",
    "on the wire",
)
# Seconds of each stage from the commit of the last instance: by the clock of the database; inside an attempt by that of the worker.
TIMES = text("""
    SELECT u.kind, extract(epoch FROM j.queued_at - u.last_received_at), extract(epoch FROM o.published_at - j.queued_at),
           extract(epoch FROM a.started_at - o.published_at), j.prepare_s, j.infer_s,
           extract(epoch FROM j.reported_at - a.started_at) - j.prepare_s - j.infer_s,
           extract(epoch FROM t.started_at - j.reported_at), extract(epoch FROM d.stored_at - t.started_at)
    FROM jobs j JOIN units u ON u.id = j.unit_id
    JOIN LATERAL (SELECT min(published_at) AS published_at FROM outbox WHERE job_id = j.id) o ON true
    JOIN attempts a ON a.job_id = j.id AND a.number = 1
    JOIN deliveries d ON d.job_id = j.id JOIN delivery_attempts t ON t.delivery_id = d.id AND t.number = 1
    WHERE j.state = 'delivered' ORDER BY j.id
""")


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """Seconds of each of `STAGES` for one unit, and of the forward pass, which is not counted."""

    kind: str
    stages: tuple[float, ...]
    forward_s: float

    @property
    def dwell_s(self) -> float:
        """Sum of the stages."""
        return sum(self.stages)


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__)
    parser.add_argument("--photographs", type=int, default=40)
    parser.add_argument("--series", type=int, default=10)
    arguments = parser.parse_args()
    with work_folder() as folder:
        found = measure_units(folder, arguments.photographs, arguments.series)
    rows = []
    for kind, title, settle in (("image", "photographs", 0.0), ("series", "series of 24 slices", SETTLE_S)):
        mine = [one for one in found if one.kind == kind]
        dwells = sorted(one.dwell_s for one in mine)
        p95 = quantiles(dwells, n=20)[-1] if len(dwells) > 1 else dwells[0]
        mark = "reached" if median(dwells) <= 0.5 + settle and p95 <= 1.0 + settle else "missed"
        rows.append([f"{title} ({len(mine)})", f"{median(dwells):.2f}", f"{p95:.2f}", f"{0.5 + settle:g} and {1 + settle:g}: {mark}",
                     f"{median(one.forward_s for one in mine):.2f}"])  # fmt: skip
    parts = [
        [
            stage,
            *(paired_runs.format_spread([1000 * one.stages[number] for one in found if one.kind == kind]) for kind in ("image", "series")),
        ]
        for number, stage in enumerate(STAGES)
    ]
    draw(found)
    text_ = (
        f"## Dwell\n\nFrom the last image acknowledged to the report stored at the PACS, less the model's own forward time; nothing else "
        f"waiting, settle_s = {SETTLE_S:g}, one worker child on the CPU, real PostgreSQL and broker.\n\n"
        f"{paired_runs.markdown_table(['units', 'p50, s', 'p95, s', 'aim, s', 'forward, s (not counted)'], rows)}\n\n"
        f"Time by stage:\n\n"
        f"{paired_runs.markdown_table(['stage', 'photographs, ms: median', 'series, ms'], parts)}\n\n"
        f"![dwell](pictures/bench-dwell.png)\n\n"
        f"{paired_runs.describe_conditions('make bench SECTION=dwell')}"
    )
    paired_runs.write_section("dwell", text_)
    print(text_)


def measure_units(folder: Path, photographs: int, series: int) -> list[UnitTimes]:
    """Send units one after the other, each when the one before is delivered. The first of each kind is not counted."""
    with node_with_pacs(folder) as (port, database):
        for number in range(photographs + 1):
            path = folder / f"{number}.dcm"
            lesion_dataset(number, size=(450, 600)).save_as(path, enforce_file_format=True)
            _send_and_wait(database, port, [path])
        for number in range(series + 1 if series else 0):
            slices = write_chest(folder / f"ct{number}", make_chest(number, slices=24, size=64, slice_mm=5.0, diameters_mm=(14.0,)))
            _send_and_wait(database, port, slices)
        with database.begin() as connection:
            found = [_unit_times(tuple(row)) for row in connection.execute(TIMES)]
    return [one for kind in ("image", "series") for one in [one for one in found if one.kind == kind][1:]]


def _send_and_wait(database: Database, port: int, paths: Sequence[Path]) -> None:
    done = delivered_jobs(database)
    send_unit(port, paths)
    wait_until("the report", lambda: delivered_jobs(database) > done, 120, every_s=0.1)
    time.sleep(0.2)


def _unit_times(row: tuple[object, ...]) -> UnitTimes:
    kind = str(row[0])
    complete, queued, claimed, prepare, infer, encode, waiting, wire = (float(str(value)) for value in row[1:])
    settle = SETTLE_S if kind == "series" else 0.0
    return UnitTimes(kind, (complete - settle, settle, queued, claimed, prepare, encode, waiting, wire), infer)


def draw(found: Sequence[UnitTimes]) -> None:
    """Draw the medians of the stages in one bar."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 2.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for height, kind in enumerate(("image", "series")):
        left = 0.0
        for number, stage in enumerate(STAGES):
            width = median([one.stages[number] for one in found if one.kind == kind] or [0.0])
            axes.barh(height, width, left=left, color=f"C{number}", label=stage if height == 0 else None)
            left += width
    axes.set_yticks([0, 1], ["photographs", "series"], fontsize=8)
    axes.set_xlabel("seconds from the last image acknowledged to the report stored, without the forward pass", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.invert_yaxis()
    axes.legend(fontsize=6, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    paired_runs.PICTURES.mkdir(exist_ok=True)
    figure.savefig(paired_runs.PICTURES / "bench-dwell.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
