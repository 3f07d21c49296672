"""The tables of the page: what was found, and how probable every class is."""

from typing import Any

from reportlab.platypus import Flowable, Table

from core import codes
from core.records import Finding, Measurement
from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.page.type import BLUE, GROUND, INK, LINE, MUTED, WIDTH, paragraph, plain

NUMBER_PT = 24


def findings(analysis: Analysis) -> Any:
    """One row a finding; the head stands again on the next page."""
    rows = [[paragraph(name, 7.5, MUTED) for name in ("", "Finding", "How sure", "Confidence tier", "Measured", "Where (LPS mm)")]]
    for number, finding in enumerate(analysis.prediction.findings, 1):
        sure = paragraph(words.confidence(finding), 8.5, bold=True)
        measured = paragraph("; ".join(measures(finding)) or "-")
        cells = [paragraph(finding.code.meaning, bold=True), sure, paragraph(words.TIERS[finding.tier])]
        rows.append([paragraph(str(number), bold=True), *cells, measured, paragraph(words.place(analysis, finding))])
    wide = WIDTH - NUMBER_PT
    table = Table(rows, colWidths=[NUMBER_PT, wide * 0.19, wide * 0.2, wide * 0.15, wide * 0.25, wide * 0.21], repeatRows=1)
    lines = [("LINEBELOW", (0, 0), (-1, 0), 0.8, INK), ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE)]
    table.setStyle(plain(*lines, ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                          ("RIGHTPADDING", (0, 0), (-1, -1), 5)))  # fmt: skip
    return table


def measures(finding: Finding) -> list[str]:
    """Name, value and unit of everything measured, the diameter first."""
    values = list(finding.measurements)
    if finding.diameter_mm is not None and codes.DIAMETER not in [value.name for value in values]:
        values.insert(0, Measurement(codes.DIAMETER, finding.diameter_mm, codes.MILLIMETER))
    return [f"{value.name.meaning} {_number(value)}" for value in values]


def _number(measurement: Measurement) -> str:
    if measurement.unit == codes.NO_UNITS:
        return f"{measurement.value:.2f}"
    digits = 0 if abs(measurement.value) >= 100 else 1
    unit = {"mm2": "mm²", "mm3": "mm³", "{pixels}": "pixels"}.get(measurement.unit.value, measurement.unit.value)
    return f"{measurement.value:.{digits}f} {unit}"


class Bar(Flowable):  # type: ignore[misc]
    """A share of 1 as a bar."""

    def __init__(self, share: float, width: float, height: float = 6.0) -> None:
        super().__init__()
        self.share, self.width, self.height = share, width, height

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height + 2

    def draw(self) -> None:
        self.canv.setFillColor(GROUND)
        self.canv.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        self.canv.setFillColor(BLUE)
        self.canv.rect(0, 0, self.width * self.share, self.height, stroke=0, fill=1)


def classes(analysis: Analysis, width: float = WIDTH) -> Any:
    """Every class that the model knows, the most probable first."""
    ordered = sorted(analysis.prediction.probabilities.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [[paragraph("Probability of every class that the model knows, calibrated", 7, MUTED), "", ""]]
    for name, probability in ordered:
        code = codes.DERMOSCOPY.get(name)
        label = name if code is None else f"{name} · {code.meaning}"
        rows.append([paragraph(label, 7.5), Bar(probability, width * 0.26 - 8), paragraph(words.percent(probability), 7.5)])
    table = Table(rows, colWidths=[width * 0.52, width * 0.26, width * 0.22], hAlign="LEFT")
    table.setStyle(plain(("SPAN", (0, 0), (-1, 0)), ("VALIGN", (0, 1), (-1, -1), "MIDDLE")))
    return table
