"""Carries out a plan against the node on several hosts."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.chaos.chaos_run import ChaosPlan, ChaosRun
from tests.chaos.hosts.faults import FAULTS, KILLS
from tests.chaos.hosts.hosts_setup import start_hosts


def run_plan(folder: Path, plan: ChaosPlan, keep: Path | None) -> dict[str, Any]:
    """Run a plan with the faults between hosts; return the table."""
    plan.on_progress("starting six servers and two hosts with three workers")
    target = start_hosts(folder, plan.seed)
    try:
        return ChaosRun(target, target.generator, replace(plan, kill_faults=KILLS, faults=FAULTS)).run()
    finally:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            for host in target.hosts:
                (keep / f"{host.on.name}-{plan.seed}.log").write_text("".join(host.errors))
            for log in (*folder.glob("*.log"), *folder.glob("*/log")):
                shutil.copy(log, keep / f"{log.parent.name}-{log.name}")
