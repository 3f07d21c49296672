"""The work that one instance may cause, counted while it is read: elements, items, values, numbers, characters.

A data set of a few megabytes can keep a parser busy for minutes: a million empty items, or a name with a million components. Each
reader of files counts what it does, and raises `OverBudget` at the first element that asks for more than any real instance
does. The limits are counts and not times, so that the same file is always treated the same.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import OverBudget

# Of one instance in one reading. On 2 busy cores each limit alone takes pydicom about a second.
MAX_ELEMENTS = 150_000  # a multi-frame image of 2,000 frames has about 100,000
MAX_ELEMENTS_OF_ITEM = 10_000  # and of what precedes or follows a sequence; headers with many private elements have about 2,000
MAX_ITEMS = 30_000  # the same image has about 20,000
MAX_VALUES = 65_536  # separators in text: backslashes, delimiters of name components, escape sequences
MAX_NUMBERS = 1 << 20  # binary numbers, which become Python objects
MAX_TEXT_BYTES = 4 << 20  # values of text that are decoded
MAX_CHARACTER_SET_BYTES = 1024  # Specific Character Set: PS3.3 C.12.1.1.2 defines 40 terms of at most 16 characters
MAX_PASSES, EXTRA_BYTES = 3, 1 << 20  # a file may be read so many times (a sound one is read once), a small file so much more

_NUMBER_BYTES = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ"})


class WorkBudget:
    """What is left of the limits while one instance is read.

    Attributes
    ----------
    tag
        The element that is being read, or None.
    exceeded
        The error that was raised; a parser may have replaced it by one of its own.
    """

    __slots__ = ("elements", "elements_of_item", "exceeded", "items", "numbers", "tag", "text_bytes", "values")

    def __init__(self) -> None:
        """Nothing is used yet."""
        self.elements, self.items, self.values, self.numbers, self.text_bytes = 0, 0, 0, 0, 0
        self.elements_of_item = 0
        self.tag: int | None = None
        self.exceeded: OverBudget | None = None

    def add_element(self) -> None:
        """Count one element. Raises `OverBudget`, as the other methods do."""
        self.elements += 1
        self.elements_of_item += 1
        if self.elements_of_item > MAX_ELEMENTS_OF_ITEM:
            raise self.refuse(f"more than {MAX_ELEMENTS_OF_ITEM} elements outside of sequences or in one item")
        if self.elements > MAX_ELEMENTS:
            raise self.refuse(f"more than {MAX_ELEMENTS} elements")

    def add_item(self) -> None:
        """Count one item of a sequence."""
        self.items += 1
        self.elements_of_item = 0
        if self.items > MAX_ITEMS:
            raise self.refuse(f"more than {MAX_ITEMS} items of sequences")

    def add_value(self, vr: str, value: bytes | None) -> None:
        """Count a value that is about to be decoded."""
        if not value or vr in _BYTES:
            return
        size = _NUMBER_BYTES.get(vr)
        if size is not None:
            self.numbers += len(value) // size
            if self.numbers > MAX_NUMBERS:
                raise self.refuse(f"more than {MAX_NUMBERS} numbers")
            if len(value) % size == 0:
                return  # else pydicom reads the value as text
        self.text_bytes += len(value)
        if self.text_bytes > MAX_TEXT_BYTES:
            raise self.refuse(f"more than {MAX_TEXT_BYTES} bytes of text")
        self.values += value.count(b"\\") + value.count(b"\x1b")
        if vr == "PN":
            self.values += value.count(b"^") + value.count(b"=")
        if self.values > MAX_VALUES:
            raise self.refuse(f"more than {MAX_VALUES} values or components of names")

    def refuse(self, what: str) -> OverBudget:
        """The error that says what there is too much of and names the element that is being read."""
        tag = self.tag
        at = "" if tag is None else f" at element ({tag >> 16:04X},{tag & 0xFFFF:04X})"
        self.exceeded = OverBudget(f"a data set with {what}{at}", hint="no real instance has as many: it is broken or hostile")
        return self.exceeded


_thread = threading.local()


def current_budget() -> WorkBudget:
    """The budget of the instance that this thread reads; outside of `work_budget` a new one, for one value."""
    budget: WorkBudget | None = getattr(_thread, "budget", None)
    return WorkBudget() if budget is None else budget


@contextmanager
def work_budget() -> Iterator[WorkBudget]:
    """Count what this thread does in this block as the work of one instance. An inner block belongs to the outer one."""
    outer: WorkBudget | None = getattr(_thread, "budget", None)
    if outer is not None:
        yield outer
        return
    _thread.budget = made = WorkBudget()
    try:
        yield made
    finally:
        _thread.budget = None
