"""Notes on what was wrong with a file and could be read all the same, in words and without values.

A note never holds a value of the header, so that notes may be logged and shown.
"""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from imaging.limits.work_budget import work_budget

# pydicom also logs each warning, with the value that caused it. The notes below take the place of these log lines.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

_WARNING_CHARS = 200  # of a warning: the kind stands at its beginning, and the value that it quotes may be long
_VR = re.compile(r"VR (?:of )?'?([A-Z]{2})\b")


def add_note(notes: list[str], text: str) -> None:
    """Append a note unless it is there already."""
    if text not in notes:
        notes.append(text)


_thread = threading.local()
_warn = warnings.warn


def _warn_or_keep(message: Warning | str, category: type[Warning] | None = None, stacklevel: int = 1, **more: Any) -> None:
    """`warnings.warn`, or, within `warnings_as_notes` of this thread, the meaning of the message among its notes."""
    notes: list[str] | None = getattr(_thread, "notes", None)
    if notes is None:
        _warn(message, category, stacklevel + 1, **more)
    else:
        add_note(notes, describe_warning(str(message)[:_WARNING_CHARS]))


# The filters and hooks of `warnings` belong to the whole process: a block that changed them would have to hold a lock while it reads a
# file, and one slow file would stop every other. This function is replaced once, and looks at the thread that calls it.
warnings.warn = _warn_or_keep  # type: ignore[assignment]


@contextmanager
def warnings_as_notes(notes: list[str]) -> Iterator[None]:
    """Turn the warnings of libraries that this thread gives in this block into notes. Other threads are not affected.

    The block is the reading of one instance: its work is counted (`work_budget`).
    """
    outer: list[str] | None = getattr(_thread, "notes", None)
    _thread.notes = caught = list[str]()
    try:
        with work_budget():
            yield
    finally:
        _thread.notes = outer
        for note in caught:
            add_note(notes, note)


@contextmanager
def warnings_discarded() -> Iterator[None]:
    """Discard the warnings of libraries that this thread gives in this block. Other threads are not affected."""
    outer: list[str] | None = getattr(_thread, "notes", None)
    _thread.notes = list[str]()
    try:
        yield
    finally:
        _thread.notes = outer


def describe_warning(message: str) -> str:
    """The meaning of a pydicom warning, without the value that it quotes."""
    lower = message.lower()
    vr = _VR.search(message)
    if "encod" in lower or "character set" in lower or "decode" in lower or "escape" in lower:
        return "text does not fit the declared character set"
    if "end of file" in lower or "eof" in lower:
        return "the file ends before its last element does"
    if vr and vr.group(1) == "UI":
        return "a UID is not formed as PS3.5 9.1 says"
    if vr and ("length" in lower or "exceeds" in lower):
        return f"a value is longer than VR {vr.group(1)} allows"
    if vr:
        return f"a value does not fit its VR {vr.group(1)}"
    if "group length" in lower or "meta" in lower:
        return "the file meta information is not as PS3.10 says"
    return "an element is not as PS3.5 says"
