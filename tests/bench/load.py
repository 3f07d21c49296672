"""Runs a load of CT series through a whole node, and records what the simulation is compared with (tests/simulation).

    make bench SECTION=load

A node (``dicom-node up``, one worker child) and one PACS on this machine. Series arrive at random times, so that they queue. The times are
those that the node itself records in its database. Writes tests/simulation/recorded_run.json.
"""

import json
import os
import platform
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median

from sqlalchemy import text

from db.engine import Database
from deploy.demo.synthetic.chest import make_chest, write_chest
from tests.bench.benchmark import command_line, work_folder
from tests.bench.node_with_pacs import SETTLE_S, delivered_jobs, node_with_pacs, send_unit
from tests.support.node_process import wait_until

RECORD = Path(__file__).resolve().parents[1] / "simulation" / "recorded_run.json"
SLICES, ALONE = 24, 4  # series that are sent one after the other first: the constants without waiting
# Seconds since the first study: first and last instance, queued, claimed, reported, delivered; of the attempt, by the worker's clock.
TIMES = text("""
    SELECT extract(epoch FROM u.first_received_at - origin.at), extract(epoch FROM u.last_received_at - origin.at),
           extract(epoch FROM j.queued_at - origin.at), extract(epoch FROM a.started_at - origin.at),
           extract(epoch FROM j.reported_at - origin.at), extract(epoch FROM j.delivered_at - origin.at), j.prepare_s, j.infer_s, j.encode_s
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN attempts a ON a.job_id = j.id AND a.number = 1,
         (SELECT min(first_received_at) AS at FROM units) origin
    WHERE j.state = 'delivered' ORDER BY u.first_received_at
""")
COLUMNS = ("first_s", "received_s", "queued_s", "started_s", "reported_s", "delivered_s", "prepare_s", "infer_s", "encode_s")


def main() -> None:
    """Run the load and write the record."""
    parser = command_line(__doc__)
    parser.add_argument("--series", type=int, default=30)
    parser.add_argument("--utilisation", type=float, default=0.85, help="of the worker, by the series that were sent alone")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with work_folder() as folder:
        studies = run_load(folder, arguments.series, arguments.utilisation, arguments.seed)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores {platform.processor() or platform.machine()}, load {load:.1f} before",
        "settle_s": SETTLE_S,
        "slices": SLICES,
        "children": 1,
        "alone": [dict(zip(COLUMNS, row, strict=True)) for row in studies[:ALONE]],
        "queued": [dict(zip(COLUMNS, row, strict=True)) for row in studies[ALONE:]],
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(RECORD)


def run_load(folder: Path, series: int, utilisation: float, seed: int) -> list[list[float]]:
    """Send the series, and return the times of each, in the order of arrival. The very first series is not counted."""
    slices = [
        write_chest(folder / f"ct{number}", make_chest(number, slices=SLICES, size=64, slice_mm=5.0, diameters_mm=(14.0,)))
        for number in range(1 + ALONE + series)
    ]
    with node_with_pacs(folder) as (port, database):
        for number in range(1 + ALONE):
            send_unit(port, slices[number])
            wait_until("the report", lambda done=number: delivered_jobs(database) > done, 900, every_s=0.1)  # type: ignore[misc]
        work_s = median(sum(row[6:]) for row in read_times(database))
        random, senders, at = Random(seed), [], time.monotonic()
        for paths in slices[1 + ALONE :]:
            time.sleep(max(0.0, at - time.monotonic()))
            senders.append(threading.Thread(target=send_unit, args=(port, paths)))
            senders[-1].start()
            at += random.expovariate(utilisation / work_s)
        for sender in senders:
            sender.join()
        wait_until("all reports", lambda: delivered_jobs(database) == len(slices), 900, every_s=0.2)
        return read_times(database)[1:]


def read_times(database: Database) -> list[list[float]]:
    """Return `COLUMNS` of every delivered series, in the order of arrival."""
    with database.begin() as connection:
        return [[round(float(value), 4) for value in row] for row in connection.execute(TIMES)]


if __name__ == "__main__":
    main()
