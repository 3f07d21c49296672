"""core has no I/O and no clock: no file, socket, process, environment variable or time of day, apart from the exceptions listed here."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORBIDDEN_MODULES = {
    "os", "io", "socket", "subprocess", "shutil", "tempfile", "time", "threading", "urllib.request", "sys", "ssl", "ctypes",
}  # fmt: skip
FORBIDDEN_CALLS = {"open", "print", "input"}
FORBIDDEN_METHODS = {
    "read_text", "read_bytes", "write_text", "write_bytes", "open", "exists", "is_file", "is_dir", "stat", "resolve", "mkdir", "unlink",
    "iterdir", "glob", "rglob", "now", "utcnow", "today", "cwd", "home",
}  # fmt: skip
ALLOWED = {
    ("core/clock.py", "now"): "the one wall clock, which callers pass on",
    ("core/logs.py", "sys"): "logs go to standard error",
    ("core/tls.py", "ssl"): "OpenSSL reads the PEM files of a context; console and dicom_node share this module",
    ("core/process_memory.py", "ctypes"): "settings of the process itself: mallopt and garbage collection",
}


def _uses(path: Path) -> Iterator[str]:
    """Forbidden modules, functions and methods that a module uses."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield node.func.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FORBIDDEN_METHODS:
            yield node.func.attr


def test_core_has_no_io_and_no_clock() -> None:
    found = {(str(path.relative_to(ROOT)), use) for path in (ROOT / "core").rglob("*.py") for use in _uses(path)}
    assert found == set(ALLOWED)


def test_settings_load_without_pydicom() -> None:
    """Every command reads the configuration, and importing pydicom takes 2 s of processor time."""
    code = (
        "import sys\n"
        "from core.settings.settings import Settings\n"
        "route = {'name': 'r', 'model': 'm', 'destinations': ['d'], 'when': {'Modality': 'CT'}}\n"
        "Settings.model_validate({'destinations': [{'name': 'd', 'folder': '/d'}], 'routes': [route]})\n"
        "print(sorted({'pydicom', 'numpy', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
