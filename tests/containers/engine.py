"""Podman and podman-compose as programs, with a configuration that also works inside of a container or a small virtual machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# Rootful engines raise the limits of containers above those of the host, which needs a capability that a container or a small virtual
# machine may lack; and crun refuses a host with both versions of cgroups.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
{runtime}
"""
CGROUPS_2 = Path("/sys/fs/cgroup/cgroup.controllers")


class EngineError(Exception):
    """A program of the engine failed; the text has its command and the end of its output."""


class Engine:
    """Runs podman and podman-compose for one project in a folder of its own.

    Parameters
    ----------
    folder
        Gets the copies of the compose file and its configuration.
    variables
        Environment variables of the compose file.
    """

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        configuration = folder / "containers.conf"
        configuration.write_text(CONTAINERS_CONF.format(runtime="" if CGROUPS_2.exists() else 'runtime = "runc"'))
        programs = Path(sys.executable).parent
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, **variables, "CONTAINERS_CONF": str(configuration), "PATH": path}

    def run(self, *command: str, text_input: str | None = None, timeout_s: float = 900.0, check: bool = True) -> str:
        """Run a program in the folder; return its standard output.

        Raises
        ------
        EngineError
            Its exit status is not 0.
        """
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, input=text_input, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if check and done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise EngineError(f"{' '.join(command)}: exit status {done.returncode}\n{tail}")
        return done.stdout

    def podman(self, *arguments: str, text_input: str | None = None) -> str:
        """Run podman; return its standard output."""
        return self.run("podman", *arguments, text_input=text_input)

    def compose(self, *arguments: str) -> str:
        """Run podman-compose with the compose files for a machine without GPU and the profile `test-pacs`."""
        files = ("-f", "docker-compose.yml", "-f", "docker-compose.cpu.yml")
        return self.run("podman-compose", *files, "--profile", "test-pacs", *arguments)

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what podman knows about a container or an image."""
        (found,) = json.loads(self.podman("inspect", name))
        return dict(found)

    def check_hardened(self, container: str, *, user: int | None, read_only: bool = True) -> None:
        """Check in a running container that it has no capability, a read-only root, and runs as ``user``.

        Raises
        ------
        EngineError
            It may do more.
        """
        status = self.podman("exec", container, "cat", "/proc/self/status").splitlines()
        capabilities = next(line.split()[1] for line in status if line.startswith("CapEff:"))
        if int(capabilities, 16) != 0:
            raise EngineError(f"{container} has capabilities: {capabilities}")
        if self.inspect(container)["HostConfig"]["ReadonlyRootfs"] is not read_only:
            raise EngineError(f"{container}: its root can be written" if read_only else f"{container}: its root is read-only")
        if user is not None and not any(line.split()[:2] == ["Uid:", str(user)] for line in status):
            raise EngineError(f"{container} does not run as user {user}")

    def address(self, container: str) -> str:
        """Return an IP address of a container, which the host reaches over the bridge."""
        networks = self.inspect(container)["NetworkSettings"]["Networks"]
        return next(str(network["IPAddress"]) for network in networks.values())


def missing_programs() -> list[str]:
    """Return what is not installed of the programs that the engine needs."""
    needed = ("podman", "buildah", "debootstrap", "iptables")
    return [name for name in needed if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
