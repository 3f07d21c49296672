"""``dicom-node up`` on each host, and all of them together as the node that senders see behind HAProxy."""

import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.chaos.hosts.network import Host
from tests.chaos.hosts.sandbox import FAKETIME
from tests.support.node_process import RunningNode

RESTART_S = 1.0


class HostNode(RunningNode):
    """Every role on one host, and further workers, which are started again when they end."""

    def __init__(self, host: Host, config: Path, environ: Mapping[str, str]) -> None:
        clock = (
            {"LD_PRELOAD": str(FAKETIME), "FAKETIME": f"{host.clock_s:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if host.clock_s else {}
        )
        super().__init__(config, {**environ, **clock})
        self.on = host
        self._workers: list[subprocess.Popen[bytes]] = []
        self._ending = threading.Event()

    def command(self, role: str) -> list[str]:
        """Return the command line of ``dicom-node ROLE`` on this host."""
        return self.on.command(*super().command(role))

    def start_worker(self, log: Path) -> None:
        """Start a second worker, and start it again whenever it ends, as systemd does."""

        def run() -> None:
            while not self._ending.is_set():
                with log.open("ab") as stream:
                    worker = subprocess.Popen(self.command("worker"), env=self._environ, stdout=stream, stderr=stream)
                self._workers[:] = [worker]
                worker.wait()
                self._ending.wait(RESTART_S)

        threading.Thread(target=run, daemon=True).start()

    def descendants(self) -> list[psutil.Process]:
        """Return every process of the node on this host."""
        found = super().descendants()
        for worker in self._workers:
            if worker.poll() is None:
                process = psutil.Process(worker.pid)
                found += [process, *process.children(recursive=True)]
        return found


class BalancedNode(RunningNode):
    """The hosts as one node: senders reach it at HAProxy, and ``readyz`` is asked at the first host."""

    def __init__(self, config: Path, environ: Mapping[str, str], hosts: Sequence[HostNode], address: tuple[str, int]) -> None:
        super().__init__(config, environ)
        self.hosts = hosts
        self.host, self.port = address
        self.console = hosts[0].console

    def descendants(self) -> list[psutil.Process]:
        """Return every process of the node on all hosts."""
        return [process for host in self.hosts for process in host.descendants()]
