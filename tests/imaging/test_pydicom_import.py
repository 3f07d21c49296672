"""pydicom is imported without requests, which can be imported all the same by what needs it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_pydicom_is_imported_without_requests() -> None:
    program = "import sys, dicom_node, pydicom; print('requests' in sys.modules); import requests; print(requests.__name__)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "requests"]
