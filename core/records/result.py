"""Encoded result objects, and the evidence by which their unit was complete."""

from dataclasses import dataclass
from datetime import datetime

from core.states import ResultKind


@dataclass(frozen=True, slots=True)
class ResultObject:
    """An encoded result object. ``content`` is a complete Part 10 file."""

    kind: ResultKind
    profile: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class CompletionEvidence:
    """Why a unit was taken to be complete. ``rule`` is one of the rules in `core.policy.completeness`; ``reason`` explains it in words."""

    rule: str
    reason: str
    at: datetime
    held: int
    expected: int | None = None
