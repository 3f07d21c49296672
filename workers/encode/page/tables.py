"""The tables of the page: the findings, and the probability of every class."""

from typing import Any

from reportlab.platypus import Flowable, Table

from core.concepts import codes
from core.policy.priors.sentences import comparison_in_words
from core.policy.result_words import TIERS
from core.records import Finding
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.measurements import measurement_texts
from workers.encode.page.typography import BACKGROUND, BLUE, INK, LINE, MUTED, WIDTH, compact_style, paragraph

NUMBER_PT = 24


def findings_table(analysis: Analysis) -> Any:
    """One row for each finding, and below it what was evaluated and compared. The head is repeated on every page."""
    rows: list[list[Any]] = [
        [paragraph(name, 7.5, MUTED) for name in ("", "Finding", "How sure", "Confidence tier", "Measured", "Where (LPS mm)")]
    ]
    lines: list[tuple[Any, ...]] = [("LINEBELOW", (0, 0), (-1, 0), 0.8, INK)]
    for number, finding in enumerate(analysis.prediction.findings, 1):
        sure = paragraph(finding_text.confidence_text(finding), 8.5, bold=True)
        measured = paragraph("; ".join(measurement_texts(finding)) or "-")
        cells = [paragraph(finding.code.meaning, bold=True), sure, paragraph(TIERS[finding.tier])]
        rows.append([paragraph(str(number), bold=True), *cells, measured, paragraph(finding_text.location(analysis, finding))])
        for text in texts_below(finding):
            rows.append(["", paragraph(text), "", "", "", ""])
            lines += [("SPAN", (1, len(rows) - 1), (-1, len(rows) - 1)), ("NOSPLIT", (0, len(rows) - 2), (-1, len(rows) - 1))]
        lines.append(("LINEBELOW", (0, len(rows) - 1), (-1, len(rows) - 1), 0.3, LINE))
    wide = WIDTH - NUMBER_PT
    table = Table(rows, colWidths=[NUMBER_PT, wide * 0.19, wide * 0.2, wide * 0.15, wide * 0.25, wide * 0.21], repeatRows=1)
    table.setStyle(compact_style(*lines, ("TOPPADDING", (0, 0), (-1, -1), 2), ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                          ("RIGHTPADDING", (0, 0), (-1, -1), 5)))  # fmt: skip
    return table


def texts_below(finding: Finding) -> list[str]:
    """What stands below the row of a finding: its evaluations, and its comparison with an earlier result."""
    compared = [] if finding.comparison is None else [comparison_in_words(finding.comparison)]
    evaluated = evaluation_texts(finding)
    return [*([" · ".join(evaluated)] if evaluated else []), *compared]


def evaluation_texts(finding: Finding) -> list[str]:
    """Name and answer of each qualitative evaluation."""
    return [f"{each.name.meaning}: {each.value.meaning}" for each in finding.evaluations]


class ProbabilityBar(Flowable):  # type: ignore[misc]
    """A probability as a bar."""

    def __init__(self, probability: float, width: float, height: float = 6.0) -> None:
        """``width``: of the bar at probability 1, in points."""
        super().__init__()
        self.probability, self.width, self.height = probability, width, height

    def wrap(self, *_: float) -> tuple[float, float]:
        """Width and height in points."""
        return self.width, self.height + 2

    def draw(self) -> None:
        """Draw on the canvas of the page."""
        self.canv.setFillColor(BACKGROUND)
        self.canv.rect(0, 0, self.width, self.height, stroke=0, fill=1)
        self.canv.setFillColor(BLUE)
        self.canv.rect(0, 0, self.width * self.probability, self.height, stroke=0, fill=1)


def class_table(analysis: Analysis, width: float = WIDTH) -> Any:
    """Every class that the model knows, the most probable first."""
    ordered = sorted(analysis.prediction.probabilities.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [[paragraph("Probability of every class that the model knows, calibrated", 7, MUTED), "", ""]]
    for name, probability in ordered:
        code = codes.DERMOSCOPY.get(name)
        label = name if code is None else f"{name} · {code.meaning}"
        bar = ProbabilityBar(probability, width * 0.26 - 8)
        rows.append([paragraph(label, 7.5), bar, paragraph(finding_text.format_percent(probability), 7.5)])
    table = Table(rows, colWidths=[width * 0.52, width * 0.26, width * 0.22], hAlign="LEFT")
    table.setStyle(compact_style(("SPAN", (0, 0), (-1, 0)), ("VALIGN", (0, 1), (-1, -1), "MIDDLE")))
    return table
