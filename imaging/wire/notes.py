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

# pydicom also logs each warning, with the value that caused it. The notes below take the place of these log lines.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

# Held while the warning filters are changed: they belong to the whole process.
WARNING_LOCK = threading.RLock()
_VR = re.compile(r"VR (?:of )?'?([A-Z]{2})\b")


def add_note(notes: list[str], text: str) -> None:
    """Append a note unless it is there already."""
    if text not in notes:
        notes.append(text)


@contextmanager
def warnings_as_notes(notes: list[str]) -> Iterator[None]:
    """Turn the warnings that pydicom gives in this block into notes.

    The warning filters are global to the process, so only one thread at a time may change them. Warnings of other threads are
    passed on unchanged: they are about other files.
    """
    caught: list[str] = []
    own_thread = threading.get_ident()
    with WARNING_LOCK, warnings.catch_warnings():
        warnings.simplefilter("always")
        show_warning = warnings.showwarning

        def catch(message: Warning | str, *where: Any, **more: Any) -> None:
            if threading.get_ident() == own_thread:
                caught.append(str(message))
            else:
                show_warning(message, *where, **more)

        warnings.showwarning = catch
        try:
            yield
        finally:
            for message in caught:
                add_note(notes, describe_warning(message))


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
