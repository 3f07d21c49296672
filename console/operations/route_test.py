"""Which routes would select a file: the same code as `dicom-node rules test`, in a process with limits. Nothing is stored.

The web process never parses the file: it starts ``python -m console.operations.route_test``, passes the routes as a line of JSON and then
the bytes of the file, and reads JSON.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import NodeError
from core.policy.routes.body_part.condition import LungsSeen
from core.process_limits import limit_process
from core.settings.routes import Route

MAX_FILE_BYTES = 64 << 20
MEMORY_BYTES = 2 << 30
CPU_S = 20
TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class RouteAnswer:
    """Whether a route selects the file, and the conditions one by one: (holds, text, whether it is part of a group)."""

    name: str
    selects: bool
    sentence: str
    conditions: tuple[tuple[bool, str, bool], ...]


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """The answer for one file. ``never``: why no route can select it, or that it cannot be read."""

    file: str
    never: str
    routes: tuple[RouteAnswer, ...] = ()


def try_routes(routes: Sequence[Route], file: str, content: bytes, source: str) -> FileAnswer:
    """Apply the routes to the bytes of a file, as if ``source`` had sent it.

    Raises
    ------
    NodeError
        The file is too large.
    """
    if len(content) > MAX_FILE_BYTES:
        raise NodeError(f"{file} has more than {MAX_FILE_BYTES >> 20} MiB", hint="use dicom-node rules test PATH on the node")
    order = {"source": source, "routes": [route.model_dump(mode="json") for route in routes]}
    given = json.dumps(order).encode() + b"\n" + content
    try:
        done = subprocess.run([sys.executable, "-m", __name__], input=given, capture_output=True, timeout=TIMEOUT_S, check=False)
        answer: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"never": "it cannot be read within the limits"}
    except (subprocess.TimeoutExpired, ValueError):
        answer = {"never": "it cannot be read within the limits"}
    decisions = answer.get("decisions", [])
    return FileAnswer(
        file,
        answer["never"],
        tuple(
            RouteAnswer(route.name, holds and not answer["never"], route.sentence, tuple(_condition(line) for line in lines))
            for route, (holds, lines) in zip(routes, decisions, strict=False)
        ),
    )


def _condition(line: str) -> tuple[bool, str, bool]:
    text = line.strip()
    return text.startswith("[yes]"), text.removeprefix("[yes]").removeprefix("[no]").strip(), line.startswith(" ")


def _search_lungs(file: Path) -> LungsSeen:
    from models.ct.lung_search import search_lungs  # loads scipy: only where the image decides

    return search_lungs([file])


def main() -> None:
    """Read one order from standard input, and answer on standard output."""
    order = json.loads(sys.stdin.buffer.readline())
    routes = [Route.model_validate(route) for route in order["routes"]]
    content = sys.stdin.buffer.read()
    in_memory = os.memfd_create("file")  # readers of pixel data take paths, and below no file may be written
    os.write(in_memory, content)
    limit_process(MEMORY_BYTES, cpu_s=CPU_S, file_bytes=0)
    from imaging.headers.route_test import explain_file  # imported under the limits

    try:
        found = explain_file(routes, io.BytesIO(content), order["source"], lambda: _search_lungs(Path(f"/proc/self/fd/{in_memory}")))
        answer = {"never": found.never, "decisions": [(decision.holds, decision.lines) for _, decision in found.decisions]}
    except NodeError as error:
        answer = {"never": f"it cannot be read: {error}"}
    except Exception as error:  # a malformed header may fail anywhere
        answer = {"never": f"it cannot be read ({type(error).__name__})"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
