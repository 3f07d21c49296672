"""Puts the limits of `work_budget` and `character_sets` into pydicom, for every reader of this process.

pydicom decodes a value when it is first asked for, wherever that is. The limits are therefore at the places through which each value
passes, and hold for the listener, the conductor, workers, the sender and the console alike.
"""

import io
from collections.abc import MutableSequence
from types import SimpleNamespace
from typing import Any

from pydicom import filereader, values
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.hooks import hooks, raw_element_value
from pydicom.sequence import Sequence
from pydicom.valuerep import VR

from core.errors import OverBudget
from imaging.limits.bounded_inflate import inflate
from imaging.limits.character_sets import restrict_character_sets
from imaging.limits.work_budget import current_budget, work_budget
from imaging.wire.tolerant_stream import bound_reading


def install_limits() -> None:
    """Let pydicom, in this process, count the work of what it reads. Calling it again has no effect."""
    restrict_character_sets()
    hooks.register_callback("raw_element_value", _decode_value)
    values.converters[VR.SQ] = _read_sequence
    # pydicom inflates a whole data set in memory where file meta information that the node's own reader does not take asks for it.
    filereader.zlib = SimpleNamespace(decompress=_inflate, MAX_WBITS=15)  # type: ignore[assignment, attr-defined]


def _decode_value(
    raw: RawDataElement, data: dict[str, Any], *, encoding: str | MutableSequence[str] | None = None, ds: Any = None, **more: Any
) -> None:
    """pydicom's conversion of one value, which is counted first."""
    budget = current_budget()
    budget.tag = int(raw.tag)
    budget.add_value(str(data["VR"]), raw.value if isinstance(raw.value, bytes) else None)
    raw_element_value(raw, data, encoding=encoding, ds=ds, **more)


def _read_sequence(
    content: bytes, is_implicit: bool, is_little_endian: bool, encoding: MutableSequence[str] | None = None, offset: int = 0
) -> Sequence:
    """pydicom's conversion of a sequence of defined length, with its elements and items counted."""
    with work_budget() as budget:
        stream = bound_reading(io.BytesIO(content))
        try:
            return filereader.read_sequence(stream, is_implicit, is_little_endian, len(content), encoding or [default_encoding], offset)
        except Exception as error:  # pydicom replaces an error that is raised within an item by one of its own
            if budget.exceeded is not None and not isinstance(error, OverBudget):
                raise budget.exceeded from error
            raise


def _inflate(packed: bytes, _window_bits: int) -> bytes:
    return inflate(packed)
