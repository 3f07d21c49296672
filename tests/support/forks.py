"""Programs as forks of a process that has imported what they need: a start takes some milliseconds, and not half a second.

Run as a program, this module is that process: it imports the modules on its command line, and forks for each request on its standard
input, a socket. It has a single thread and computes nothing, so a fork of it is safe. `ForkServer` is the other side.
"""

import importlib
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Self

ROOT = Path(__file__).parents[2]
ENVIRON = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
LONGEST_REQUEST = 1 << 16


class Fork:
    """A process, with what the console's pool of render processes uses of `subprocess.Popen`."""

    def __init__(self, pid: int, stdin: int, stdout: int, ended: int) -> None:
        self.pid, self.stdin, self.stdout = pid, os.fdopen(stdin, "w"), os.fdopen(stdout)
        self.returncode: int | None = None
        self._ended, self._one_reader = ended, threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs; minus the number of the signal that ended it."""
        return self._read_status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit status.

        Raises
        ------
        subprocess.TimeoutExpired
            It still runs.
        """
        status = self._read_status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("fork", timeout or 0)
        return status

    def _read_status(self, timeout: float | None) -> int | None:
        with self._one_reader:
            if self.returncode is None:
                events = select.poll()
                events.register(self._ended, select.POLLIN)
                if events.poll(None if timeout is None else timeout * 1000):
                    self.returncode = int(os.read(self._ended, 16) or -signal.SIGKILL)  # nothing: the server has ended, and it too
                    os.close(self._ended)
            return self.returncode


class ForkServer:
    """Starts programs, in text, as forks of a process that has imported ``modules``; may be used from several threads."""

    def __init__(self, *modules: str) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one_request = threading.Lock()
        command = [sys.executable, "-m", __name__, *modules]
        with theirs:
            self._process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **ENVIRON}, stdin=theirs, stdout=subprocess.DEVNULL)

    def start(self, program: str) -> Fork:
        """Start a program in a session of its own."""
        pipes = [os.pipe() for _ in range(3)]
        (its_stdin, stdin), (stdout, its_stdout), (ended, its_ended) = pipes
        with self._one_request:
            socket.send_fds(self._requests, [program.encode()], [its_stdin, its_stdout, its_ended])
            pid = int(self._requests.recv(16))
        for file in (its_stdin, its_stdout, its_ended):
            os.close(file)
        return Fork(pid, stdin, stdout, ended)

    def close(self) -> None:
        """End the process, and the forks that still run."""
        self._requests.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(requests: socket.socket) -> None:
    """Fork for each request, and tell the exit status of each fork, until the other side is closed."""
    assert len(os.listdir("/proc/self/task")) == 1, "a process with several threads must not fork"
    forks: dict[int, tuple[int, int]] = {}  # by the file descriptor of the process: its number, and where its status is written
    with selectors.DefaultSelector() as events:
        events.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is requests:
                    request, files, _, _ = socket.recv_fds(requests, LONGEST_REQUEST, 3)
                    if not request:
                        for pidfd in forks:
                            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                        return
                    stdin, stdout, ended = files
                    if (pid := os.fork()) == 0:
                        _run(request.decode(), stdin, stdout)
                    os.close(stdin)
                    os.close(stdout)
                    pidfd = os.pidfd_open(pid)
                    forks[pidfd] = pid, ended
                    events.register(pidfd, selectors.EVENT_READ)
                    requests.send(str(pid).encode())
                else:
                    pid, ended = forks.pop(key.fd)
                    events.unregister(key.fd)
                    os.close(key.fd)
                    with suppress(BrokenPipeError):
                        os.write(ended, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
                    os.close(ended)


def _run(program: str, stdin: int, stdout: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        exec(compile(program, "<fork>", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    with socket.socket(fileno=os.dup(0)) as listening:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        serve(listening)
