"""Encodes an object in a new Python process, to prove that its bytes depend neither on the hash seed nor on the time zone."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, importlib
from tests.support import analyses_with_images
made = importlib.import_module("workers.encode.objects.{module}").encode(getattr(analyses_with_images, "{analysis}")())
for each in made if isinstance(made, tuple) else (made,):
    print(hashlib.sha256(each.content).hexdigest())
"""


def hashes_in_new_process(module: str, analysis: str, *, seed: str = "7") -> list[str]:
    """Return the SHA-256 of each object that ``workers.encode.objects.<module>`` encodes in a new process.

    ``analysis`` names a function of `tests.support.analyses_with_images`; ``seed`` becomes PYTHONHASHSEED.
    """
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module, analysis=analysis)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.split()
