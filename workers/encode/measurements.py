"""The measurements of a finding, as reports and pages list them."""

from core.concepts import codes
from core.concepts.measured_values import format_measured
from core.records import Finding, Measurement


def measurements_with_diameter(finding: Finding) -> list[Measurement]:
    """All measurements; the finding's diameter comes first if it is not among them."""
    measurements = list(finding.measurements)
    names = {measurement.name for measurement in measurements}
    if finding.diameter_mm is not None and codes.DIAMETER not in names:
        measurements.insert(0, Measurement(codes.DIAMETER, finding.diameter_mm, codes.MILLIMETER))
    return measurements


def measurement_texts(finding: Finding) -> list[str]:
    """Name, value and unit of each measurement, the diameter first."""
    return [f"{each.name.meaning} {format_measured(each.value, each.unit.value)}" for each in measurements_with_diameter(finding)]
