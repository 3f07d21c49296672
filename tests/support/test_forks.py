"""Forks of a process that has imported modules: their streams, their exit status, and their end with that process."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.forks import Fork, ForkServer


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer("colorsys") as started:
        yield started


@contextmanager
def started(server: ForkServer, program: str) -> Iterator[Fork]:
    fork = server.start(program)
    with fork.stdin, fork.stdout:
        yield fork


def test_a_fork_has_its_streams_and_what_was_imported(server: ForkServer) -> None:
    with started(server, "import sys; print(input(), 'colorsys' in sys.modules, flush=True); sys.exit(3)") as fork:
        fork.stdin.write("line\n")
        fork.stdin.flush()
        assert fork.stdout.readline() == "line True\n"
        assert fork.wait(600) == 3


@pytest.mark.parametrize(("program", "status"), [("pass", 0), ("1 / 0", 1), ("import os; os._exit(7)", 7)])
def test_the_status_of_a_fork_is_told(server: ForkServer, program: str, status: int) -> None:
    with started(server, program) as fork:
        assert fork.wait(600) == status
        assert fork.poll() == status


def test_a_fork_that_is_killed_ends_with_the_signal(server: ForkServer) -> None:
    with started(server, "input()") as fork:
        assert fork.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            fork.wait(0)
        os.kill(fork.pid, signal.SIGKILL)
        assert fork.wait(600) == -signal.SIGKILL


def test_the_end_of_the_server_ends_its_forks() -> None:
    server = ForkServer()
    with started(server, "import sys; print('started', flush=True); sys.stdin.read()") as fork:
        assert fork.stdout.readline() == "started\n"
        server.close()
        assert fork.stdout.read() == "", "it holds its output no more"
        assert fork.wait(600) == -signal.SIGKILL
