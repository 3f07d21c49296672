"""Whether all parts are there of a multi-frame image that was sent as several instances (Concatenation, PS3.3 C.7.6.16)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from core.errors import GeometryError
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader


@dataclass(frozen=True, slots=True)
class ConcatenationPart:
    """One instance of a concatenation. ``number``: from 1; ``total``: of how many, 0 where the header does not state it."""

    uid: str
    number: int
    total: int


def read_part(dataset: Dataset) -> ConcatenationPart | None:
    """The part that an instance is; None for an instance that is no part."""
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes([]):
        read = TolerantReader(dataset, [])
        uid, number = read.text("ConcatenationUID"), read.integer("InConcatenationNumber", low=1)
        if not uid or number is None:
            return None
        return ConcatenationPart(uid, number, read.integer("InConcatenationTotalNumber", low=1) or 0)


def check_whole(headers: Iterable[Dataset]) -> None:
    """`check_parts` of the instances with these headers, each read without its pixels."""
    check_parts([part for header in headers if (part := read_part(header)) is not None])


def check_parts(parts: Sequence[ConcatenationPart]) -> None:
    """Check that no part is missing.

    The frames that are there may make a volume without gap that ends in the middle of the patient, or a slide with bare glass where there
    is tissue.

    Raises
    ------
    GeometryError
        There are fewer parts than they state, or one in between is missing.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    totals: dict[str, int] = defaultdict(int)
    for part in parts:
        numbers[part.uid].add(part.number)
        totals[part.uid] = max(totals[part.uid], part.number, part.total)
    for uid, there in numbers.items():
        if len(there) < totals[uid]:
            raise GeometryError(
                f"a gap: {totals[uid] - len(there)} of the {totals[uid]} instances of a concatenation are missing",
                hint="send the missing instances; the series is analysed again when they come",
            )
