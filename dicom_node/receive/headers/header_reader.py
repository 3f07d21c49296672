"""Reads headers of whole data sets: those that cost little in the calling thread, others in child processes.

What costs little is counted while it is read (`imaging.limits.work_budget.QUICK`): at the first element beyond, the reading ends and a
child begins anew. Enhanced multi-frame images and large structured reports are read there. A file with more items or values than any child
would accept is refused at once.
"""

import os
import queue
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import CannotUnderstand, OutOfResources, OverBudget
from core.records import InstanceHeader
from dicom_node.line_process.parent import LineProcess
from dicom_node.receive.headers.item_count import has_too_many_items
from imaging.headers.instance_header import BEGINNING_BYTES
from imaging.headers.whole_header import read_plain_whole_header, read_whole_header
from imaging.limits.work_budget import FULL, MAX_ITEMS, QUICK, work_budget

CHILDREN = min(4, os.cpu_count() or 1)
TIMEOUT_S = 300.0  # wall time of one header, on a machine that is busy with other things
_MODULE = "dicom_node.receive.headers.header_process"


class HeaderReader:
    """Reads headers of received files. May be used from any thread; children are started when they are needed."""

    def __init__(self) -> None:
        self._children: queue.LifoQueue[LineProcess] = queue.LifoQueue()  # the last one used is the first one used again
        for _ in range(CHILDREN):
            self._children.put(LineProcess(_MODULE, timeout_s=TIMEOUT_S))

    def read(self, path: Path | str, *, beginning: bytes = b"", size_bytes: int = 0) -> InstanceHeader:
        """As `imaging.headers.instance_header.read_header`, of a data set that is whole.

        Raises
        ------
        CannotUnderstand
            As there, and where the data set was cut (`imaging.headers.whole_header`); `OverBudget` where reading it takes more work than
            that of any real instance.
        OutOfResources
            The file or a child process is not available: the sender may try again.
        """
        try:
            if not beginning:
                with open(path, "rb", buffering=0) as file:
                    beginning, size_bytes = file.read(BEGINNING_BYTES), os.fstat(file.fileno()).st_size
            return read_plain_whole_header(path, beginning, size_bytes) or self._read_tolerantly(path)
        except OSError as error:  # of the disk, or too many files are open
            raise _unavailable() from error

    def _read_tolerantly(self, path: Path | str) -> InstanceHeader:
        with work_budget(QUICK) as budget:
            try:
                return read_whole_header(Path(path))
            except OverBudget:
                if budget.exceeded is None:
                    raise
        budget.check_values(FULL)
        if budget.items > QUICK.items and has_too_many_items(path):
            raise budget.refuse(f"more than {MAX_ITEMS} items of sequences")
        return self._read_in_child(path)

    def _read_in_child(self, path: Path | str) -> InstanceHeader:
        child = self._children.get()
        try:
            return _header_of(_ask(child, path))
        finally:
            self._children.put(child)

    def close(self) -> None:
        """End the children that are idle; a further header starts them again."""
        idle: list[LineProcess] = []
        with suppress(queue.Empty):
            while True:
                idle.append(self._children.get_nowait())
        for child in idle:
            child.close()
            self._children.put(child)


def _ask(child: LineProcess, path: Path | str) -> dict[str, Any]:
    request = {"path": str(path)}
    child.start()  # an OSError of this says nothing about the file
    try:
        return child.ask(request)
    except (OSError, ValueError):  # it was killed, or ended in this moment because it had nothing to do
        child.start()
        try:
            return child.ask(request)
        except (OSError, ValueError) as error:
            raise CannotUnderstand("the header cannot be read within the limits of time and memory") from error


def _unavailable() -> OutOfResources:
    return OutOfResources("out of resources: the file cannot be read")


def _header_of(answer: dict[str, Any]) -> InstanceHeader:
    if "unavailable" in answer:
        raise _unavailable()
    if "refused" in answer:
        kind = OverBudget if answer["over_budget"] else CannotUnderstand
        raise kind(str(answer["refused"]), status=int(answer["status"]))
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in answer["header"].items()}
    return InstanceHeader(**values)
