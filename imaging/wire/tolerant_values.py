"""Header values out of a pydicom data set, read tolerantly: what is broken becomes nothing and a note in words.

Notes never hold a value, so that they may be logged and shown.
"""

import logging
import math
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

MAX_TEXT = 1024  # characters of one text value that are kept; longer ones are hostile or broken
MAX_UID = 256  # PS3.5 9.1 allows 64; more than this no index takes

# pydicom writes each warning to its logger too, and quotes the value: what the notes say in words is enough.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

WARNING_LOCK = threading.RLock()  # whoever changes the filters of warnings, which are the whole process's, holds it
_ESCAPES = re.compile("\x1b(?:\\$[()*-]?[@-Z]|[()*-][@-Z])")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_VR = re.compile(r"VR (?:of )?'?([A-Z]{2})\b")


@contextmanager
def tolerating(notes: list[str]) -> Iterator[None]:
    """Turn the warnings that pydicom gives in this block into notes, in words and without values.

    The warning filters are global to the process, so only one thread at a time may change them; what another thread
    is warned of meanwhile is no note of this file.
    """
    caught: list[str] = []
    me = threading.get_ident()
    with WARNING_LOCK, warnings.catch_warnings():
        warnings.simplefilter("always")
        shown = warnings.showwarning

        def hear(message: Warning | str, *where: Any, **more: Any) -> None:
            if threading.get_ident() == me:
                caught.append(str(message))
            else:
                shown(message, *where, **more)

        warnings.showwarning = hear
        try:
            yield
        finally:
            for message in caught:
                note(notes, words(message))


def note(notes: list[str], text: str) -> None:
    """Add a note once."""
    if text not in notes:
        notes.append(text)


def words(message: str) -> str:
    """What a pydicom warning says, without the value that it quotes."""
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


def clean(text: str, notes: list[str], keyword: str) -> str:
    """Text that a database and a page can take: no controls, no lone surrogates, no left-over code extensions."""
    plain = text.strip(" \x00")
    if plain.isascii() and plain.isprintable() and len(plain) <= MAX_TEXT:
        return plain
    if "\x1b" in plain:
        plain = _ESCAPES.sub("", plain)
        note(notes, f"{keyword}: code extension escapes removed")
    if _CONTROLS.search(plain):
        plain = _CONTROLS.sub("", plain)
        note(notes, f"{keyword}: control characters removed")
    if any("\ud800" <= c <= "\udfff" for c in plain):
        plain = plain.encode("utf-8", "replace").decode("utf-8")
        note(notes, f"{keyword}: text does not fit the declared character set")
    if len(plain) > MAX_TEXT:
        plain = plain[:MAX_TEXT]
        note(notes, f"{keyword}: text cut after {MAX_TEXT} characters")
    return plain


class Reader:
    """Typed access to one data set. Every method gives "" or None where there is no usable value."""

    def __init__(self, dataset: Dataset, notes: list[str]) -> None:
        self._dataset = dataset
        self._notes = notes
        self._ascii_declared = not dataset.get("SpecificCharacterSet")

    def _value(self, keyword: str) -> object:
        try:
            value: object = self._dataset.get(keyword)
        except (RecursionError, MemoryError):
            raise
        except Exception:  # pydicom has many ways to fail on a broken value
            value = Sequence()
        if isinstance(value, Sequence):  # nor is a sequence a value: its items may hold what cannot be read
            note(self._notes, f"{keyword} cannot be read")
            return None
        return value

    def text(self, keyword: str) -> str:
        value = self._value(keyword)
        if value is None:
            return ""
        if isinstance(value, str):
            text = value
        elif isinstance(value, (MultiValue, list, tuple)):
            text = "\\".join(str(part) for part in value)
        elif isinstance(value, bytes):
            text = value.decode("latin-1")
        else:
            text = str(value)
        if self._ascii_declared and not text.isascii():
            text = self._undeclared(text, keyword)
        return clean(text, self._notes, keyword)

    def _undeclared(self, text: str, keyword: str) -> str:
        """Text beyond ASCII without a declared set is UTF-8 if it can be, else Latin-1 as pydicom reads it."""
        note(self._notes, f"{keyword}: text beyond ASCII without a declared character set")
        try:
            return text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text

    def texts(self, keyword: str) -> tuple[str, ...]:
        value = self._value(keyword)
        if value is None or value == "":
            return ()
        parts = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        return tuple(clean(str(part), self._notes, keyword) for part in parts)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Exactly ``count`` finite numbers, or None."""
        value = self._value(keyword)
        if value is None or value == "":
            return None
        parts = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        try:
            found = tuple(float(str(part)) for part in parts)
        except ValueError:
            found = ()
        if len(found) != count or not all(math.isfinite(number) for number in found):
            note(self._notes, f"{keyword} is not {count} number{'s' if count > 1 else ''}")
            return None
        return found

    def number(self, keyword: str) -> float | None:
        found = self.numbers(keyword, 1)
        return None if found is None else found[0]

    def integer(self, keyword: str, *, low: int = -(2**31), high: int = 2**31 - 1) -> int | None:
        """A whole number that a 32-bit column takes, or None."""
        found = self.number(keyword)
        if found is None:
            return None
        if found != int(found) or not low <= found <= high:
            note(self._notes, f"{keyword} is no whole number within reason")
            return None
        return int(found)
