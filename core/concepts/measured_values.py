"""The precision of measured values: one rule, so that a value is the same in reports, pages, the database and exports.

Values without unit have two decimals; others are whole numbers from 100 on and have one decimal below; pixels are whole numbers. More
would claim a precision that no model has. Probabilities and scores are no measured values: limits are applied to them, and they keep
four decimals.
"""

from dataclasses import replace

from core.records import Finding, Measurement, Prediction

NO_UNITS, PIXELS = "1", "{pixels}"  # UCUM
WHOLE_FROM = 100.0
UNIT_TEXTS = {"mm2": "mm²", "mm3": "mm³", PIXELS: "pixels", NO_UNITS: ""}


def decimals(value: float, unit: str) -> int:
    """Return the number of decimals of a value; ``unit`` is a UCUM code."""
    if unit == NO_UNITS:
        return 2
    return 0 if unit == PIXELS or abs(value) >= WHOLE_FROM else 1


def round_measured(value: float, unit: str) -> float:
    """Return the value with the decimals that it has everywhere."""
    return round(float(value), decimals(value, unit))


def format_measured(value: float, unit: str) -> str:
    """Return the value with its unit, as ``18473 mm³``."""
    return f"{value:.{decimals(value, unit)}f} {UNIT_TEXTS.get(unit, unit)}".strip()


def with_rounded_values(prediction: Prediction) -> Prediction:
    """Return the prediction with the measured values of its findings rounded."""
    return replace(prediction, findings=tuple(_rounded(finding) for finding in prediction.findings))


def _rounded(finding: Finding) -> Finding:
    diameter = None if finding.diameter_mm is None else round_measured(finding.diameter_mm, "mm")
    return replace(finding, diameter_mm=diameter, measurements=tuple(_rounded_measurement(each) for each in finding.measurements))


def _rounded_measurement(measurement: Measurement) -> Measurement:
    return replace(measurement, value=round_measured(measurement.value, measurement.unit.value))
