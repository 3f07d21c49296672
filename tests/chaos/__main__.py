"""Runs ``python -m tests.chaos --seed 7 --studies 300``: progress on standard error, the summary on standard output."""

import argparse
import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.chaos_run import ChaosPlan, ChaosRun
from tests.chaos.node_setup import start_node_under_test
from tests.chaos.study_generator import StudyGenerator
from tests.chaos.summary import format_summary, passed


def main() -> int:
    """Run the harness; return the exit status."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--kills", type=int, help="processes to kill (default: a third of the studies, at least 30)")
    parser.add_argument("--others", type=int, help="other faults (default: a quarter of the studies, at least 10)")
    parser.add_argument("--no-killer-input", action="store_true", help="without the study that kills every worker")
    parser.add_argument("--json", type=Path, help="write the summary as JSON")
    parser.add_argument("--keep", type=Path, help="folder that gets the log of the node")
    given = parser.parse_args()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    kills = given.kills if given.kills is not None else max(30, given.studies // 3)
    others = given.others if given.others is not None else max(10, given.studies // 4)
    plan = ChaosPlan(
        given.seed, given.studies, kills, others, not given.no_killer_input, lambda line: print(line, file=sys.stderr, flush=True)
    )
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-chaos-"))
    folder.chmod(0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # exits through the finally blocks, which stop every process
    try:
        target = start_node_under_test(folder)
        try:
            table = ChaosRun(target, StudyGenerator(folder / "sent", plan.seed), plan).run()
        finally:
            target.close()
            if given.keep is not None:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"node-{plan.seed}.log").write_text("".join(target.node.errors))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(format_summary(table, given.json))
    return 0 if passed(table) else 1


if __name__ == "__main__":
    sys.exit(main())
