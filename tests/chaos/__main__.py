"""Runs ``python -m tests.chaos --seed 7 --studies 300``: progress on standard error, the summary on standard output."""

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.hosts import sandbox

USAGE = 2


def main() -> int:
    """Run the harness; return the exit status."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--hosts", action="store_true", help="several hosts in network namespaces, and faults between them (root)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--kills", type=int, help="processes to kill (default: a third of the studies, at least 30)")
    parser.add_argument("--others", type=int, help="other faults (default: a quarter of the studies, at least 10)")
    parser.add_argument("--no-killer-input", action="store_true", help="without the study that kills every worker")
    parser.add_argument("--json", type=Path, help="write the summary as JSON")
    parser.add_argument("--keep", type=Path, help="folder that gets the log of the node")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # exits through the finally blocks, which stop every process
    if not given.hosts:
        return run(given, _temporary_folder())
    if sandbox.INSIDE in os.environ:
        return run(given, sandbox.enter())
    if lacks := sandbox.missing():
        print("--hosts cannot run here:", *lacks, sep="\n  ", file=sys.stderr)
        return USAGE
    folder = _temporary_folder()
    try:
        return sandbox.run_inside("tests.chaos", sys.argv[1:], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(given: argparse.Namespace, folder: Path) -> int:
    """Carry out the plan, print the table, and return the exit status."""
    from tests.chaos.chaos_run import ChaosPlan
    from tests.chaos.summary import format_summary, passed

    if given.hosts:
        from tests.chaos.hosts.run import run_plan
    else:
        from tests.chaos.run import run_plan
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    kills = given.kills if given.kills is not None else max(30, given.studies // 3)
    others = given.others if given.others is not None else max(10, given.studies // 4)
    plan = ChaosPlan(
        given.seed, given.studies, kills, others, not given.no_killer_input, lambda line: print(line, file=sys.stderr, flush=True)
    )
    try:
        table = run_plan(folder, plan, given.keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(format_summary(table, given.json))
    return 0 if passed(table) else 1


def _temporary_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-chaos-"))
    folder.chmod(0o755)
    return folder


if __name__ == "__main__":
    sys.exit(main())
