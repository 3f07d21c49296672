"""Runs DCMTK's storage SCP, a receiver that is not this project's."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.ports import free_port
from tests.support.storage_scu import dcmtk


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[int]:
    """Run storescp, which writes into the new ``folder``; yield its port once it accepts connections."""
    folder.mkdir()
    port = free_port()
    command = [dcmtk("storescp"), "-od", str(folder), *options, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"TCP_NODELAY": "1"}) as server:
        deadline = time.monotonic() + 240
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "storescp did not come up"
                time.sleep(0.05)
        try:
            yield port
        finally:
            server.terminate()
