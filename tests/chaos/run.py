"""Carries out a plan against the node on this machine."""

from pathlib import Path
from typing import Any

from tests.chaos.chaos_run import ChaosPlan, ChaosRun
from tests.chaos.node_setup import start_node_under_test
from tests.chaos.study_generator import StudyGenerator


def run_plan(folder: Path, plan: ChaosPlan, keep: Path | None) -> dict[str, Any]:
    """Run a plan; return the table. ``keep``: folder that gets the log."""
    target = start_node_under_test(folder)
    try:
        return ChaosRun(target, StudyGenerator(folder / "sent", plan.seed), plan).run()
    finally:
        target.close()
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"node-{plan.seed}.log").write_text("".join(target.node.errors))
