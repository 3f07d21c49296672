"""Coded concepts and values with coded names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept (PS3.3 8.8): value, scheme designator (SCT, DCM, LN, UCUM, 99DCMNODE), meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured value with its coded name; ``unit`` is a UCUM code."""

    name: Code
    value: float
    unit: Code


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One qualitative evaluation: what was evaluated, and the answer, both coded."""

    name: Code
    value: Code
