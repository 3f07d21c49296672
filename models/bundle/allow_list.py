"""Checks values of a bundle's configuration against what is allowed; nothing of a bundle is called."""

from collections.abc import Sequence
from typing import Any

from core.errors import ModelError
from models.bundle.config_reader import BundleCall

FIX = "correct configs/inference.json"


def require_call(value: Any, targets: Sequence[str], what: str) -> BundleCall:
    """``value``, if it is a call of one of ``targets``. Raises ModelError."""
    if isinstance(value, BundleCall) and value.target in targets:
        return value
    found = value.target if isinstance(value, BundleCall) else type(value).__name__
    raise ModelError(f"{what} is {found}, which is not on the allow list: {', '.join(sorted({t.rpartition('.')[2] for t in targets}))}")


def whole_number(value: Any, what: str) -> int:
    """``value``, if it is a whole number. Raises ModelError."""
    if type(value) is not int:
        raise ModelError(f"{what} is a whole number, not {value!r}", hint=FIX)
    return value


def number(value: Any, what: str) -> float:
    """``value`` as a float, if it is a number. Raises ModelError."""
    if type(value) not in (int, float):
        raise ModelError(f"{what} is a number, not {value!r}", hint=FIX)
    return float(value)
