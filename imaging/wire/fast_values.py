"""Values of plain, well-formed elements, from their bytes. Anything else raises `NotPlain`.

Values are cached: the slices of a series repeat most of them.
"""

import math
import re
from collections.abc import Callable
from functools import lru_cache

from imaging.wire.data_elements import UNSIGNED_SHORT

CACHED_VALUES = 1024  # of each kind

_PRINTABLE = re.compile(rb"(?:[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?)?")  # one value: no backslash, no space at its ends
_FORM: dict[bytes, tuple[re.Pattern[bytes], int]] = {  # VR: form and greatest length of one value (PS3.5 table 6.2-1)
    b"UI": (re.compile(rb"(?:(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*)?"), 64),
    b"CS": (re.compile(rb"(?:[A-Z0-9_](?:[A-Z0-9_ ]*[A-Z0-9_])?)?"), 16),
    b"SH": (_PRINTABLE, 16),
    b"LO": (_PRINTABLE, 64),
    b"PN": (re.compile(rb"(?:[!-<>-\[\]-~](?:[ -<>-\[\]-~]*[!-<>-\[\]-~])?)?"), 64),
    b"DA": (re.compile(rb"(?:[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01]))?"), 8),
    b"TM": (re.compile(rb"(?:(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9](?:\.[0-9]{1,6})?)?"), 14),
    b"DS": (re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"), 16),
    b"IS": (re.compile(rb"[+-]?[0-9]{1,9}"), 12),
}


class NotPlain(Exception):
    """The file is not plain and well-formed: the tolerant reader has to read it."""


@lru_cache(CACHED_VALUES)
def plain_text(vr: bytes, raw: bytes) -> str:
    """One value of a text VR, padded at its end only, as its VR says."""
    form, max_length = _FORM[vr]
    value = raw.rstrip(b"\0") if vr == b"UI" else raw.rstrip(b" ")
    if len(value) > max_length or not form.fullmatch(value):
        raise NotPlain
    return value.decode("ascii")


def plain_texts(vr: bytes, raw: bytes) -> tuple[str, ...]:
    """Each value of a text VR; () for an empty element."""
    if not raw.strip(b" "):
        return ()
    return tuple(plain_text(vr, part) for part in _split(raw))


def plain_joined_texts(vr: bytes, raw: bytes) -> str:
    """All values of a text VR, checked one by one, in one string with backslashes between them."""
    return "\\".join(plain_text(vr, part) for part in _split(raw)) if raw else ""


def _split(raw: bytes) -> list[bytes]:
    parts = raw.rstrip(b" ").split(b"\\")
    if any(part != part.strip(b" ") for part in parts):
        raise NotPlain
    return parts


def plain_numbers(count: int) -> Callable[[bytes, bytes], tuple[float, ...] | None]:
    """A function that reads exactly ``count`` finite numbers of VR DS or IS; None for an empty element."""

    @lru_cache(CACHED_VALUES)
    def read(vr: bytes, raw: bytes) -> tuple[float, ...] | None:
        if not raw:
            return None
        form, max_length = _FORM[vr]
        parts = raw.split(b"\\")
        values = [part.strip(b" ") for part in parts]
        if len(values) != count or any(len(part) > max_length for part in parts) or not all(form.fullmatch(value) for value in values):
            raise NotPlain
        numbers = tuple(float(value) for value in values)
        if not all(math.isfinite(number) for number in numbers):
            raise NotPlain
        return numbers

    return read


_read_one_number = plain_numbers(1)


def plain_number(vr: bytes, raw: bytes) -> float | None:
    """One finite number of VR DS or IS; None for an empty element."""
    numbers = _read_one_number(vr, raw)
    return None if numbers is None else numbers[0]


def plain_integer(low: int = -(2**31)) -> Callable[[bytes, bytes], int | None]:
    """A function that reads a whole number of at least ``low``, of VR US or IS; None for an empty element of VR IS."""

    def read(vr: bytes, raw: bytes) -> int | None:
        if vr == b"US":
            if len(raw) != UNSIGNED_SHORT.size:
                raise NotPlain
            value: int | None = int(UNSIGNED_SHORT.unpack(raw)[0])
        else:
            number = plain_number(vr, raw)
            value = None if number is None else int(number)
        if value is not None and value < low:
            raise NotPlain
        return value

    return read
