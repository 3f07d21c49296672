"""One bridge, and hosts that are connected to it: each a network namespace with its own address and host name.

The harness itself is at the bridge's address, as modalities and destinations are.
"""

import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PREFIX = "10.77.0"
HARNESS = f"{PREFIX}.1"
BLOCKED, FORWARDING = "0", "3"  # states of a bridge port


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace. ``clock_s``: by how much its clock is wrong."""

    name: str
    address: str
    clock_s: int = 0

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs a program on this host, under its name."""
        return ["ip", "netns", "exec", self.name, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.name, *words]


@dataclass(slots=True)
class Network:
    """The bridge and its hosts.

    Attributes
    ----------
    cut_off
        Names of the hosts whose port drops every frame at this moment.
    """

    hosts: dict[str, Host] = field(default_factory=dict)
    cut_off: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def create(cls) -> "Network":
        """Make the bridge, with the address of the harness."""
        _ip("link", "add", "br0", "type", "bridge")
        _ip("addr", "add", f"{HARNESS}/24", "dev", "br0")
        _ip("link", "set", "br0", "up")
        return cls()

    def add(self, name: str, number: int, *, clock_s: int = 0) -> Host:
        """Connect a host by a veth pair."""
        host = self._namespace(name, number, clock_s)
        _ip("link", "add", _port(name), "type", "veth", "peer", "name", "eth0", "netns", name)
        self._connect(host)
        return host

    def add_behind_wire(self, name: str, number: int, folder: Path, *, clock_s: int = 0) -> "tuple[Host, Wire]":
        """Connect a host by a program that can delay and lose frames."""
        host = self._namespace(name, number, clock_s)
        wire = Wire(_port(name), f"far-{name}", folder / f"wire-{name}.log")
        _ip("link", "set", f"far-{name}", "netns", name)
        _ip("-n", name, "link", "set", f"far-{name}", "name", "eth0")
        self._connect(host)
        return host, wire

    def _namespace(self, name: str, number: int, clock_s: int) -> Host:
        host = Host(name, f"{PREFIX}.{number}", clock_s)
        _ip("netns", "add", name)
        self.hosts[name] = host
        return host

    def _connect(self, host: Host) -> None:
        _ip("link", "set", _port(host.name), "master", "br0", "up")
        inside = ("-n", host.name)
        _ip(*inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip(*inside, "link", "set", "eth0", "up")
        _ip(*inside, "link", "set", "lo", "up")

    def cut(self, name: str) -> None:
        """Drop every frame from and to a host: as if a cable were cut behind the next switch, nobody gets an error."""
        _run("bridge", "link", "set", "dev", _port(name), "state", BLOCKED)
        with self.lock:
            self.cut_off.add(name)

    def join(self, name: str) -> None:
        """Connect a host again."""
        _run("bridge", "link", "set", "dev", _port(name), "state", FORWARDING)
        with self.lock:
            self.cut_off.discard(name)


class Wire:
    """The program ``wire.py`` between two TAP devices."""

    def __init__(self, near: str, far: str, log: Path) -> None:
        script = Path(__file__).with_name("wire.py")
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(script), near, far], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream, text=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", log.read_text()

    def set(self, *, delay_ms: float = 0.0, loss: float = 0.0) -> None:
        """Delay every frame in each direction by ``delay_ms``, and lose this share of them (0 to 1)."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{delay_ms} {loss}\n")
        self._process.stdin.flush()

    def counted(self) -> Mapping[str, int]:
        """Return the number of frames that were forwarded and lost so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("count\n")
        self._process.stdin.flush()
        forwarded, lost = self._process.stdout.readline().split()
        return {"forwarded": int(forwarded), "lost": int(lost)}


def _port(name: str) -> str:
    return f"port-{name}"


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"
