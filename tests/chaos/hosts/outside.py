"""Starts a module in the namespaces from a process outside, as ``make chaos ARGS=--hosts`` does; for tests."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
RUN = """
import sys
from pathlib import Path
from tests.chaos.hosts import sandbox
sys.exit(sandbox.run_inside(sys.argv[1], [], Path(sys.argv[2])))
"""


def start_outside(module: str, folder: Path, *search: Path) -> "subprocess.Popen[str]":
    """Start ``python -m module`` in namespaces, with files below ``folder``; ``search``: further folders of modules."""
    folder.mkdir(mode=0o755)
    environment = {**os.environ, "PYTHONPATH": ":".join(str(path) for path in (*search, ROOT))}
    return subprocess.Popen([sys.executable, "-c", RUN, module, str(folder)], stdout=subprocess.PIPE, text=True, env=environment)
