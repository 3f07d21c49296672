"""The parent's side of a child process that answers requests: started when needed, killed when it takes too long."""

import json
import select
import subprocess
import sys
import time
from typing import Any


class LineProcess:
    """Sends requests to one child process, ``python -m MODULE``. Not for several threads at once.

    The child may end by itself when it has had nothing to do; the next request starts another one.
    """

    def __init__(self, module: str, *, timeout_s: float) -> None:
        self._module = module
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the child unless it runs.

        Raises
        ------
        OSError
            No process, or no pipe to it, can be made now: too many are open, or memory is short.
        """
        if self._child is None or self._child.poll() is not None:
            self.close()
            command = [sys.executable, "-m", self._module]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        return self._child

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the child's answer. It is started where it does not run.

        Raises
        ------
        OSError, ValueError
            The child ended, took longer than ``timeout_s``, or answered with something else. It is ended.
        """
        child = self.start()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            answer: dict[str, Any] = json.loads(self._read_line(child))
        except (OSError, ValueError):
            self.close()
            raise
        return answer

    def _read_line(self, child: "subprocess.Popen[bytes]") -> bytes:
        """Return the child's next line; raises TimeoutError (an OSError), or ValueError at its end."""
        assert child.stdout is not None
        deadline, line = time.monotonic() + self._timeout_s, b""
        poll = select.poll()  # unlike select(), also for descriptors from 1024 on
        poll.register(child.stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            piece = child.stdout.read(1 << 16)
            if not piece:
                raise ValueError("the child has ended")
            line += piece
        return line

    def close(self) -> None:
        """End the child; the next request starts another one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()
