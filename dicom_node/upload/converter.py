"""The parent's side of the child process that opens uploads: started when needed, killed when it takes too long."""

import json
import select
import subprocess
import sys
import time
from typing import Any, Self

from core.errors import CannotUnderstand

TIMEOUT_S = 180.0  # wall time of one request, on a busy machine


class Converter:
    """Sends requests to one child process. Not for several threads at once."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    def request(self, do: str, **values: Any) -> dict[str, Any]:
        """Have the child do one thing (`dicom_node.upload.conversions.REQUESTS`); return its answer.

        Raises
        ------
        CannotUnderstand
            The child refused the file, ended, or took too long.
        """
        child = self._child if self._child is not None and self._child.poll() is None else self._start()
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps({"do": do, **values}).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(self._read_line(child))
        except (OSError, ValueError) as error:
            self.close()
            raise CannotUnderstand("the file cannot be opened within the limits of time and memory") from error
        if "refused" in answer:
            raise CannotUnderstand(str(answer["refused"]))
        found: dict[str, Any] = answer
        return found

    def _start(self) -> "subprocess.Popen[bytes]":
        self.close()
        command = [sys.executable, "-m", "dicom_node.upload.conversion_process"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        return self._child

    def _read_line(self, child: "subprocess.Popen[bytes]") -> bytes:
        """Return the child's next line; raises TimeoutError (an OSError), or ValueError at its end."""
        assert child.stdout is not None
        deadline, line = time.monotonic() + self._timeout_s, b""
        while not line.endswith(b"\n"):
            if not select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
