"""A plugin of pytest: the processes of ``-n`` are forks of one process that has imported every test module.

Importing the test modules and what they use takes 10 to 15 s of processor time, which each of the processes paid. Now one process collects
the tests and forks for each request of `tests.support.forked_worker`, which pytest-xdist starts in place of Python. A fork of it is safe
because it has a single thread, uses no GPU and computes nothing.
"""

import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = Path(__file__).with_name("forked_worker.py")
COLLECT = ("--collect-only", "-q", "-p", "no:cacheprovider", "-n", "0")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Start the process that forks, and let the nodes be its forks."""
    folder = TemporaryDirectory(prefix="dicom-node-forks-")
    path = Path(folder.name) / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(len(specs))
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listener.fileno()), *map(str, config.args)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listener.fileno()],
        )  # fmt: skip
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(lambda: process.communicate() and None)  # its standard input ends, and so does it
    for spec in specs:
        spec.python = shlex.join([sys.executable, "-I", "-S", str(CLIENT), str(path)])


def serve(listener: socket.socket) -> list[int]:
    """Fork for each request and tell the client the exit status of its fork, until standard input ends.

    Returns only in a fork: the three standard streams of the client.
    """
    forks: dict[int, tuple[int, socket.socket]] = {}  # by the file descriptor of the process
    with selectors.DefaultSelector() as events:
        events.register(0, selectors.EVENT_READ)
        events.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fd == 0:
                    for pidfd in forks:
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    os._exit(0)
                elif key.fileobj is listener:
                    client, _ = listener.accept()
                    _, streams, _, _ = socket.recv_fds(client, 1, 3)
                    if (pid := os.fork()) == 0:
                        for opened in (client, listener, *(other for _, other in forks.values())):
                            opened.close()
                        return streams
                    for stream in streams:
                        os.close(stream)
                    pidfd = os.pidfd_open(pid)
                    forks[pidfd] = pid, client
                    events.register(pidfd, selectors.EVENT_READ)
                    events.register(client, selectors.EVENT_READ, pidfd)
                elif key.data is None:  # a fork has ended
                    pid, client = forks.pop(key.fd)
                    events.unregister(key.fd)
                    os.close(key.fd)
                    events.unregister(client)
                    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF
                    with client, suppress(OSError):  # the client may have ended before
                        client.sendall(bytes([status]))
                elif key.data in forks:  # pytest-xdist has killed the client
                    signal.pidfd_send_signal(key.data, signal.SIGKILL)


def main() -> None:
    """Collect the tests of the paths on the command line, and serve; a fork becomes a process of the suite."""
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        pytest.main([*COLLECT, *sys.argv[2:]])  # an error is reported by the forks: they import again what could not be imported
        assert len(os.listdir("/proc/self/task")) == 1, "a process with several threads must not fork"
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has started this one
        streams = serve(listener)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # What ``python -c`` does with the line that execnet gives it.
    sys.modules["__main__"] = ModuleType("__main__")
    sys.argv = ["-c"]
    exec(eval(sys.stdin.readline()), vars(sys.modules["__main__"]))


if __name__ == "__main__":
    main()
