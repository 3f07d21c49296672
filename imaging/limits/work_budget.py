"""The work that one instance may cause, counted while it is read: elements, items, values, numbers, characters.

A data set of a few megabytes can keep a parser busy for minutes: a million empty items, or a name with a million components. Each
reader of files counts what it does, and raises `OverBudget` at the first element that asks for more than any real instance
does. The limits are counts and not times, so that the same file is always treated the same.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import OverBudget

# Of one instance in one reading. On 2 busy cores each limit alone takes pydicom about a second.
MAX_ELEMENTS = 150_000  # a multi-frame image of 2,000 frames has about 100,000
MAX_ELEMENTS_OF_ITEM = 10_000  # and of what precedes or follows a sequence; headers with many private elements have about 2,000
MAX_ITEMS = 30_000  # the same image has about 20,000
MAX_VALUES = 65_536  # separators in text: backslashes, delimiters of name components, escape sequences
MAX_NUMBERS = 1 << 20  # binary numbers, which become Python objects
MAX_TEXT_BYTES = 4 << 20  # values of text that are decoded
MAX_CHARACTER_SET_BYTES = 1024  # Specific Character Set: PS3.3 C.12.1.1.2 defines 40 terms of at most 16 characters
MAX_FRAGMENTS = 1 << 21  # of encapsulated pixel data; a whole slide has a hundred thousand
MAX_PASSES, EXTRA_BYTES = 3, 1 << 20  # a file may be read so many times (a sound one is read once), a small file so much more


@dataclass(frozen=True, slots=True)
class WorkLimits:
    """The most of each that one reading may take. ``passed_bytes``: bytes of the file; None: a few times as many as it has."""

    elements: int
    elements_of_item: int
    items: int
    values: int
    numbers: int
    text_bytes: int
    passed_bytes: int | None = None


# Of the functional groups of the tiles of a whole slide, which are walked and not parsed: 400,000 tiles with four macros each. Each limit
# alone takes about ten seconds.
MAX_TILE_ITEMS, MAX_TILE_ELEMENTS = 1 << 21, 1 << 23

FULL = WorkLimits(MAX_ELEMENTS, MAX_ELEMENTS_OF_ITEM, MAX_ITEMS, MAX_VALUES, MAX_NUMBERS, MAX_TEXT_BYTES)
# What pydicom reads in some 10 ms on a quiet machine: a CT slice with many private elements has less.
QUICK = WorkLimits(2500, 2500, 250, 4096, 65_536, 256 << 10, passed_bytes=1 << 20)
OF_TILES = WorkLimits(MAX_TILE_ELEMENTS, MAX_ELEMENTS_OF_ITEM, MAX_TILE_ITEMS, MAX_VALUES, MAX_NUMBERS, MAX_TEXT_BYTES)

_NUMBER_BYTES = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_BYTES = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ"})


class WorkBudget:
    """What is left of the limits while one instance is read.

    Attributes
    ----------
    limits
        What the reading may take.
    tag
        The element that is being read, or None.
    exceeded
        The error that was raised; a parser may have replaced it by one of its own.
    """

    __slots__ = ("elements", "elements_of_item", "exceeded", "items", "limits", "numbers", "tag", "text_bytes", "values")

    def __init__(self, limits: WorkLimits = FULL) -> None:
        """Nothing is used yet."""
        self.limits = limits
        self.elements, self.items, self.values, self.numbers, self.text_bytes = 0, 0, 0, 0, 0
        self.elements_of_item = 0
        self.tag: int | None = None
        self.exceeded: OverBudget | None = None

    def add_element(self) -> None:
        """Count one element. Raises `OverBudget`, as the other methods do."""
        self.elements += 1
        self.elements_of_item += 1
        if self.elements_of_item > self.limits.elements_of_item:
            raise self.refuse(f"more than {self.limits.elements_of_item} elements outside of sequences or in one item")
        if self.elements > self.limits.elements:
            raise self.refuse(f"more than {self.limits.elements} elements")

    def add_item(self) -> None:
        """Count one item of a sequence."""
        self.items += 1
        self.elements_of_item = 0
        if self.items > self.limits.items:
            raise self.refuse(f"more than {self.limits.items} items of sequences")

    def add_value(self, vr: str, value: bytes | None) -> None:
        """Count a value that is about to be decoded."""
        if not value or vr in _BYTES:
            return
        size = _NUMBER_BYTES.get(vr)
        if size is not None:
            self.numbers += len(value) // size
        if size is None or len(value) % size:  # else pydicom reads no text
            self.text_bytes += len(value)
            self.values += value.count(b"\\") + value.count(b"\x1b")
            if vr == "PN":
                self.values += value.count(b"^") + value.count(b"=")
        self.check_values(self.limits)

    def check_values(self, limits: WorkLimits) -> None:
        """Raise `OverBudget` where the values that were counted are more than these limits allow."""
        if self.numbers > limits.numbers:
            raise self.refuse(f"more than {limits.numbers} numbers")
        if self.text_bytes > limits.text_bytes:
            raise self.refuse(f"more than {limits.text_bytes} bytes of text")
        if self.values > limits.values:
            raise self.refuse(f"more than {limits.values} values or components of names")

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
def work_budget(limits: WorkLimits = FULL) -> Iterator[WorkBudget]:
    """Count what this thread does in this block as the work of one instance. An inner block belongs to the outer one, with its limits."""
    outer: WorkBudget | None = getattr(_thread, "budget", None)
    if outer is not None:
        yield outer
        return
    _thread.budget = made = WorkBudget(limits)
    try:
        yield made
    finally:
        _thread.budget = None
