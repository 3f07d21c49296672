"""The program of a render process: decodes one unit within limits, reports on standard output, and ends.

The web process starts it as ``python -m console.viewer.render_process`` and writes one line of JSON: what to decode, where to, and the
limits. It answers in lines of JSON: ``{"planned": {...}}``, ``{"slice": 17}``, ``{"done": {...}}`` or ``{"failed": "reason"}``. After the
first slice of a series it waits for another line, or ``others_after_s``. A hostile file can end or slow only this process.
"""

import errno
import gc
import json
import os
import select
import sys
from pathlib import Path
from typing import Any, TextIO

from console.viewer.render_frames import frames_modality, render_frames
from console.viewer.render_object import render_object
from console.viewer.render_slide import is_slide, render_slide
from console.viewer.render_unit import Pause, Report, render_photograph, render_series
from core.counted import counted
from core.errors import NodeError, StorageError
from core.process_limits import limit_process

META = "meta-2.json"
"""Description of a decoded unit. The number changes with the format: what an earlier version has decoded is then decoded again."""


def render(order: dict[str, Any], report: Report, pause: Pause) -> dict[str, Any]:
    """Decode what the order names and return its description; ``pause`` as in `render_series`."""
    files = [(Path(path), sha256) for path, sha256 in order["files"]]
    folder, earlier = Path(order["folder"]), Path(order["earlier"]) if order["earlier"] else None
    if missing := sum(not path.is_file() for path, _ in files):
        raise StorageError(f"{missing} of {counted(len(files), 'file')} missing", hint="does the console see node.data_dir/blobs?")
    if order["kind"] == "series":
        if is_slide(files):
            return render_slide(files, folder)
        if (modality := frames_modality(files)) is not None:
            return render_frames(files, folder, order["first_uid"], modality, report, earlier)
        return render_series(files, folder, order["first_uid"], report, pause, earlier)
    if order["kind"] == "image":
        return render_photograph(files, folder)
    return render_object(files, folder)


def describe(error: BaseException, memory_mib: int) -> str:
    """Return why a unit cannot be displayed, in words without patient values."""
    if isinstance(error, NodeError):
        return str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", 0) == errno.ENOMEM:
        return f"the images need more than the {memory_mib} MiB that console.viewer.memory_mib allows"
    if isinstance(error, OSError):
        return f"the images cannot be read or written: {error.strerror}"
    return f"the images cannot be decoded ({type(error).__name__})"


def main(orders: TextIO, answers: TextIO) -> None:
    """Read one order, carry it out and answer; an order that never comes ends the process."""

    def report(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    text = orders.readline()
    if not text:
        return
    order = json.loads(text)
    limit_process(order["memory_mib"] << 20, cpu_s=max(1, int(order["cpu_s"])), file_bytes=order["file_bytes"])
    try:
        meta = render(order, report, lambda: select.select([orders], [], [], order["others_after_s"]))
        (Path(order["folder"]) / META).write_text(json.dumps(meta))
    except Exception as error:
        report({"failed": describe(error, order["memory_mib"])})
    else:
        report({"done": meta})


def run() -> None:
    """Carry out the order on standard input, and answer on standard output."""
    gc.disable()  # the process decodes one unit and ends; a collection over what it imports would delay the first image
    os.umask(0o077)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints does not get between the answers
    main(sys.stdin, answers)


if __name__ == "__main__":
    run()
