"""The same object made in a fresh interpreter: what depends on the process, its hash seed or the time of day comes out different."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, importlib
from tests.support import pictured
made = importlib.import_module("workers.encode.objects.{module}").encode(getattr(pictured, "{analysis}")())
for each in made if isinstance(made, tuple) else (made,):
    print(hashlib.sha256(each.content).hexdigest())
"""


def hashes_elsewhere(module: str, analysis: str, *, seed: str = "7") -> list[str]:
    """sha256 of each object that ``workers.encode.objects.<module>`` makes of ``pictured.<analysis>()`` in another process."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module, analysis=analysis)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.split()
