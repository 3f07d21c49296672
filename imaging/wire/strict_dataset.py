"""Data sets as the strict reader returns them: values by keyword, with the VR that stands in the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# IS: int. DS and the other VRs of text: str. Binary numbers: int or float. Other bytes: bytes. SQ: list of items.
# A list where an element has several values.
ElementValue = Any


@dataclass(slots=True)
class StrictElement:
    """An element as it was read. ``keyword`` is "" if the dictionary does not have the tag."""

    keyword: str
    VR: str
    value: ElementValue

    @property
    def is_empty(self) -> bool:
        """Whether the element has no value. A sequence without items is not empty."""
        return self.value is None or (self.VR != "SQ" and self.value in ("", b""))

    @property
    def values(self) -> list[Any]:
        """The values as a list, of a single value too."""
        return self.value if isinstance(self.value, list) else [self.value]


class StrictDataset:
    """A data set or an item of a sequence: its elements by keyword, in the order in which they stand in the file."""

    __slots__ = ("_by_keyword",)

    def __init__(self) -> None:
        """An empty data set."""
        self._by_keyword: dict[str, StrictElement] = {}

    def add(self, tag: int, element: StrictElement) -> None:
        """Add an element; one without keyword is kept under the hexadecimal digits of its tag."""
        self._by_keyword[element.keyword or f"{tag:08X}"] = element

    def get(self, keyword: str, default: Any = None) -> Any:
        """The value of an element, as `pydicom.Dataset.get` returns it."""
        element = self._by_keyword.get(keyword)
        return default if element is None else element.value

    def __getitem__(self, keyword: str) -> StrictElement:
        """The element of that keyword. Raises KeyError if there is none."""
        return self._by_keyword[keyword]

    def __contains__(self, keyword: object) -> bool:
        """Whether there is an element of that keyword."""
        return keyword in self._by_keyword

    def __iter__(self) -> Iterator[StrictElement]:
        """The elements in the order of the file."""
        return iter(self._by_keyword.values())
