"""The wheel of the working tree, and virtual environments that have it and the packages of this one, but not the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Loaded at the start of every Python of the environment, children included: notes each file of the checkout that is opened or imported
# as an extension module. The packages that the environment borrows may lie in the checkout's .venv.
AUDIT_HOOK = """
import os, sys
def _note(event, arguments):
    path = arguments[1 if event == "import" else 0] if event in ("open", "os.listdir", "os.scandir", "import") else None
    if isinstance(path, (str, bytes)) and os.path.isabs(path):
        text = os.path.realpath(os.fsdecode(path))
        if text.startswith({checkout!r}) and not f"{{text}}/".startswith({borrowed!r}):
            with open({log!r}, "a") as stream:
                stream.write(f"{{event}} {{text}}\\n")
sys.addaudithook(_note)
"""


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy of the files that git tracks or would track, without network; return its path."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ":!tests", ":!docs"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    source = folder / "source"
    for name in filter(None, os.fsdecode(listing.stdout).split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)], check=True, capture_output=True
    )
    (wheel,) = folder.glob("dicom_node-*.whl")
    return wheel


def make_environment(folder: Path, wheel: Path, log: Path, *, compiled: bool = True) -> Path:
    """Create a virtual environment with the wheel; its packages are those of this one. Returns the folder of its programs.

    ``log`` gets every file of the checkout that a process of the environment reads. ``compiled``: with the bytecode of every module, for
    environments in which many processes start.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--quiet", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, *(() if compiled else ("--no-compile",)), str(wheel)], check=True, env=outside_environment())
    (packages,) = folder.glob("lib/python3.*/site-packages")
    borrowed = sysconfig.get_path("purelib")
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")  # only added to the path: the .pth files in it are not read
    hook = AUDIT_HOOK.format(checkout=f"{ROOT}/", borrowed=f"{os.path.realpath(borrowed)}/", log=str(log))
    (packages / "sitecustomize.py").write_text(hook)
    return folder / "bin"


def outside_environment(**more: str) -> dict[str, str]:
    """Return the environment without anything that leads Python or the node to the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DICOM_NODE_", "VIRTUAL_ENV"))}
    return {**kept, **more}
