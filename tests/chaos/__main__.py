"""The long run: ``python -m tests.chaos --seed 7 --studies 300``. Progress on standard error, the table on standard output."""

import argparse
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.campaign import Campaign, Plan
from tests.chaos.opening import open_ward
from tests.chaos.studies import Pool
from tests.chaos.table import held, show


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--kills", type=int, help="a third of the studies, and at least 30: each labelled step once")
    parser.add_argument("--others", type=int, help="other faults; a quarter of the studies")
    parser.add_argument("--no-poison", action="store_true", help="without the study that kills every worker which takes it")
    parser.add_argument("--json", type=Path, help="the table as JSON")
    parser.add_argument("--keep", type=Path, help="a folder for the node's log")
    given = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    kills = given.kills if given.kills is not None else max(30, given.studies // 3)
    others = given.others if given.others is not None else max(10, given.studies // 4)
    plan = Plan(given.seed, given.studies, kills, others, not given.no_poison, lambda line: print(line, file=sys.stderr, flush=True))
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-chaos-"))
    folder.chmod(0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # in order: nothing of it stays
    try:
        ward = open_ward(folder)
        try:
            table = Campaign(ward, Pool(folder / "sent", plan.seed), plan).run()
        finally:
            ward.close()
            if given.keep is not None:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"node-{plan.seed}.log").write_text("".join(ward.node.errors))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(show(table, given.json))
    return 0 if held(table) else 1


if __name__ == "__main__":
    sys.exit(main())
