"""Header values of a pydicom data set, read tolerantly: a value that cannot be used becomes "" or None, and a note.

Strict reading would refuse real images: devices write values that are too long, in the wrong character set, or of the wrong type.
"""

import math
import re

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from core.errors import OverBudget, system_error_of
from imaging.wire.notes import add_note

MAX_TEXT = 1024  # characters that are kept of one text value; longer ones are hostile or broken
MAX_LONG_TEXT = 10240  # of a value of VR LT, and kept of one of VR UC or UT, where all of it is wanted (PS3.5 table 6.2-1)
TEXT_CUT = "text cut"  # beginning of the note on one, behind its keyword
MAX_UID = 256  # PS3.5 9.1 allows 64; longer values do not fit an index of the database

_ESCAPES = re.compile("\x1b(?:\\$[()*-]?[@-Z]|[()*-][@-Z])")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean_text(text: str, notes: list[str], keyword: str, max_length: int = MAX_TEXT) -> str:
    """Text that can be stored and shown: without control characters, lone surrogates, and escapes of code extensions."""
    plain = text.strip(" \x00")
    if plain.isascii() and plain.isprintable() and len(plain) <= max_length:
        return plain
    if "\x1b" in plain:
        plain = _ESCAPES.sub("", plain)
        add_note(notes, f"{keyword}: code extension escapes removed")
    if _CONTROLS.search(plain):
        plain = _CONTROLS.sub("", plain)
        add_note(notes, f"{keyword}: control characters removed")
    if any("\ud800" <= c <= "\udfff" for c in plain):
        plain = plain.encode("utf-8", "replace").decode("utf-8")
        add_note(notes, f"{keyword}: text does not fit the declared character set")
    if len(plain) > max_length:
        plain = plain[:max_length]
        add_note(notes, f"{keyword}: {TEXT_CUT} after {max_length} characters")
    return plain


class TolerantReader:
    """Typed access to the elements of one data set. Every method returns "", () or None where there is no usable value."""

    def __init__(self, dataset: Dataset, notes: list[str]) -> None:
        """``notes``: the list to which notes on unusable values are added."""
        self._dataset = dataset
        self._notes = notes
        self._has_no_character_set = not dataset.get("SpecificCharacterSet")

    def _value(self, keyword: str) -> object:
        try:
            value: object = self._dataset.get(keyword)
        except (RecursionError, MemoryError, OverBudget):
            raise
        except Exception as error:  # pydicom fails on broken values with exceptions of many types
            if system_error_of(error) is not None:  # a long value is read from the file only now
                raise
            value = Sequence()
        if isinstance(value, Sequence):  # a sequence where a value is expected, or a value that cannot be decoded
            add_note(self._notes, f"{keyword} cannot be read")
            return None
        return value

    def text(self, keyword: str, max_length: int = MAX_TEXT) -> str:
        """The value as clean text of at most ``max_length`` characters; several values are joined with backslashes."""
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
        if self._has_no_character_set and not text.isascii():
            text = self._decode_undeclared(text, keyword)
        return clean_text(text, self._notes, keyword, max_length)

    def _decode_undeclared(self, text: str, keyword: str) -> str:
        """Text beyond ASCII without a declared character set: UTF-8 if it is valid, else Latin-1 as pydicom reads it."""
        add_note(self._notes, f"{keyword}: text beyond ASCII without a declared character set")
        try:
            return text.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return text

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Each value as clean text."""
        value = self._value(keyword)
        if value is None or value == "":
            return ()
        parts = value if isinstance(value, (MultiValue, list, tuple)) else [value]
        return tuple(clean_text(str(part), self._notes, keyword) for part in parts)

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
            add_note(self._notes, f"{keyword} is not {count} number{'s' if count > 1 else ''}")
            return None
        return found

    def number(self, keyword: str) -> float | None:
        """One finite number, or None."""
        found = self.numbers(keyword, 1)
        return None if found is None else found[0]

    def integer(self, keyword: str, *, low: int = -(2**31), high: int = 2**31 - 1) -> int | None:
        """A whole number from ``low`` to ``high``, or None. By default what a 32-bit column of the database holds."""
        found = self.number(keyword)
        if found is None:
            return None
        if found != int(found) or not low <= found <= high:
            add_note(self._notes, f"{keyword} is not a whole number within its limits")
            return None
        return int(found)
