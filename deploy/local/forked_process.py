"""A role as a fork of ``up``, which has imported its libraries already.

A fork copies only the calling thread, and sockets would be shared by both processes. Therefore a role is forked only while this process has
a single thread (`fork_is_safe`), the child closes every inherited file, and the caller has closed its database connections before.
"""

import ctypes
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from deploy.local.private_files import make_private_folder, open_log_file

# What each role imports, in the order in which `up` starts them. The worker's parent process imports no torch: its children do, after they
# are forked from it, because a CUDA context does not survive a fork.
ROLE_MODULES: Mapping[str, tuple[str, ...]] = {
    "listen": ("deploy.cli.roles", "deploy.reload", "db.blobs.open_blobs", "dicom_node.receive.listen_role"),
    "worker": ("workers.queue.worker",),
    "conduct": ("deploy.configured_models", "dicom_node.conduct.conductor"),
    "relay": ("workers.queue.relay",),
    "send": ("dicom_node.deliver.sender",),
    "console": ("console.app",),
}
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_FIRST_INHERITED_FILE = 3


class ForkedProcess:
    """A forked child, with the methods of `subprocess.Popen` that the supervisor uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs; minus the number of the signal that ended it."""
        return self._collect(os.WNOHANG)

    def wait(self) -> int:
        """Wait for the end of the process and return its exit status."""
        status = self._collect(0)
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _collect(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def import_role(role: str) -> None:
    """Import what a role needs. Numerical libraries start no threads, so that a fork stays safe."""
    before = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        for name in ROLE_MODULES.get(role, ()):
            importlib.import_module(name)
    finally:
        del os.environ["OPENBLAS_NUM_THREADS"]
        if before is not None:
            os.environ["OPENBLAS_NUM_THREADS"] = before


def fork_is_safe() -> bool:
    """Whether this process has a single thread, those of libraries included (Linux; elsewhere unknown, so False)."""
    tasks = Path("/proc/self/task")
    return tasks.exists() and len(list(tasks.iterdir())) == 1


def fork_role(arguments: Sequence[str], environment: Mapping[str, str], log_file: Path | None) -> ForkedProcess:
    """Run ``dicom-node ARGUMENTS`` in a forked child, in a session of its own, that gets SIGTERM when this process ends.

    Parameters
    ----------
    environment
        Variables added to those of this process.
    log_file
        Gets the output; None: standard error of this process.
    """
    import_role(arguments[0])
    gc.freeze()  # the pages of imported objects stay shared by all forks
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # so that no signal reaches the parent's handlers in the child
    try:
        pid = os.fork()
        if pid == 0:
            _run_child(arguments, environment, log_file, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    return ForkedProcess(pid)


def _run_child(arguments: Sequence[str], environment: Mapping[str, str], log_file: Path | None, parent: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)
        for number in (*_SIGNALS, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _redirect(log_file)
        os.closerange(_FIRST_INHERITED_FILE, os.sysconf("SC_OPEN_MAX"))
        os.environ.update(environment)
        _set_command_line(["python", "-m", "deploy.cli", *arguments])
        from deploy.cli.main import run

        status = run(arguments)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _redirect(log_file: Path | None) -> None:
    """Connect standard input to nothing, and the output to the file or standard error."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if log_file is not None:
        make_private_folder(log_file.parent)
        with open_log_file(log_file) as stream:
            os.dup2(stream.fileno(), 2)
    os.dup2(2, 1)


def _set_command_line(words: Sequence[str]) -> None:
    """Write the words where the kernel keeps the command line of this process, so that `ps` shows the role; cut where they do not fit.

    The addresses are arg_start and arg_end of /proc/self/stat (proc(5)); no effect where the kernel does not tell them.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # the fields 48 and 49; the first after the name of the program is field 3
    if 0 < start < end:
        text = b"".join(word.encode() + b"\0" for word in words)[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
