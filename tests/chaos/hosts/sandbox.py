"""Runs the harness in namespaces of its own: network, processes and mounts. When it ends, in whatever way, the kernel removes everything.

No bridge, no address and no process is ever visible outside, so that nothing has to be cleaned up, also not after SIGKILL.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.local.child_process import end_with_parent

INSIDE = "CHAOS_SANDBOX"  # the folder of the run, in the environment of the harness inside
PROGRAMS = {
    "ip": "iproute2", "bridge": "iproute2", "unshare": "util-linux", "setpriv": "util-linux", "hostname": "hostname", "haproxy": "haproxy",
    "pg_basebackup": "postgresql",
}  # fmt: skip
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
TRY = (
    "mount -t tmpfs tmpfs /run && mkdir /run/netns && ip netns add try"
    " && ip link add name try0 type bridge && ip link add name try1 type veth peer name try2"
)


def missing() -> list[str]:
    """Return what this machine lacks for a run with several hosts; an empty list where everything is there."""
    if os.geteuid() != 0:
        return ["only root makes network namespaces: run it as root"]
    lacks = [f"{program} is not installed: apt-get install {package}" for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not FAKETIME.exists():
        lacks.append(f"{FAKETIME} is not there: apt-get install faketime")
    if not Path("/dev/net/tun").exists():
        lacks.append("/dev/net/tun is not there: the delayed link needs a kernel with CONFIG_TUN")
    if not lacks:
        tried = subprocess.run([*NAMESPACES, "sh", "-c", TRY], capture_output=True, text=True, check=False)
        if tried.returncode:
            lacks.append(f"this machine allows no namespaces with bridge and veth: {tried.stderr.strip()}")
    return lacks


def run_inside(module: str, arguments: Sequence[str], folder: Path) -> int:
    """Run ``python -m module ARGUMENTS`` in the namespaces; return its exit status. SIGINT, SIGTERM and SIGKILL end everything in it."""
    command = [*end_with_parent("KILL"), *NAMESPACES, sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, env={**os.environ, INSIDE: str(folder)})
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()


def enter() -> Path:
    """Prepare the namespaces that this process was started in; return the folder of the run, which is in memory.

    Names are looked up in a file only, because no name server is reached from here.
    """
    folder = Path(os.environ[INSIDE])
    for where in ("/run", str(folder)):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", where], check=True)
    Path("/run/netns").mkdir()
    for name, text in (("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "")):
        (folder / name).write_text(text)
        subprocess.run(["mount", "--bind", str(folder / name), f"/etc/{name}"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return folder
