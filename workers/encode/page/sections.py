"""The sections of the result page, the most important first."""

from collections.abc import Iterator
from typing import Any

from reportlab.platypus import Spacer, Table

from core.states import Outcome
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.page.picture_rows import BESIDE_PHOTOGRAPH_PT, picture_rows
from workers.encode.page.study_details import study_details
from workers.encode.page.tables import class_table, findings_table
from workers.encode.page.typography import AMBER, BACKGROUND, BLUE, GREY, LINE, MUTED, WIDTH, compact_style, paragraph
from workers.encode.pictures.captioned_pictures import FindingView
from workers.encode.result_identity import is_research

EDGE_COLOURS = {Outcome.FINDINGS: BLUE, Outcome.NO_FINDING: GREY, Outcome.ABSTAINED: AMBER, Outcome.NOT_ANALYSED: AMBER}


def build_sections(analysis: Analysis, views: tuple[FindingView, ...], scale: float) -> list[Any]:
    """The flowables of the whole page. ``scale``: of the pictures."""
    return [*_sections(analysis, views, scale)]


def _sections(analysis: Analysis, views: tuple[FindingView, ...], scale: float) -> Iterator[Any]:
    prediction = analysis.prediction
    yield _title(analysis)
    yield Spacer(0, 6)
    yield _details_table(analysis)
    yield Spacer(0, 8)
    yield _outcome_box(analysis)
    if prediction.findings:
        yield Spacer(0, 8)
        yield findings_table(analysis)
    if compared := finding_text.comparison_lines(analysis):
        yield Spacer(0, 6)
        yield _heading("Comparison with earlier examinations")
        yield from (paragraph(line, 7.5, after=1) for line in compared)
    has_classes = prediction.outcome is Outcome.FINDINGS and bool(prediction.probabilities)
    beside = has_classes and bool(views) and views[0].number == 0
    if views:
        yield Spacer(0, 8)
        yield from picture_rows(len(prediction.findings), views, scale, class_table(analysis, BESIDE_PHOTOGRAPH_PT) if beside else None)
    if has_classes and not beside:
        yield Spacer(0, 6)
        yield class_table(analysis)
    yield Spacer(0, 6)
    if prediction.looked_for and prediction.outcome in (Outcome.FINDINGS, Outcome.NO_FINDING):
        yield _heading("What was looked for")
        yield paragraph(prediction.looked_for, after=3)
    yield _heading("What it is not for")
    yield paragraph(analysis.identity.not_for, after=3)
    advice = [analysis.advice[label] for label in dict.fromkeys(f.label for f in prediction.findings) if analysis.advice.get(label)]
    limits, reference = finding_text.reported_limits(analysis)
    notes = [line for line in dict.fromkeys([*advice, *prediction.notes, *analysis.remarks]) if line.strip()]
    for name, lines in (("Notes on this analysis", notes), ("Known limits of the model", [*limits, *([reference] if reference else [])])):
        if lines:
            yield Spacer(0, 2)
            yield _heading(name)
            yield from (paragraph(line, 7, bullet=True, after=0.5) for line in lines)


def _heading(text: str) -> Any:
    return paragraph(text, 8.5, BLUE, bold=True, after=1)


def _title(analysis: Analysis) -> Any:
    identity = analysis.identity
    left = [
        paragraph(identity.title, 15, bold=True, after=2),
        paragraph(f"AI result of {finding_text.model_line(analysis)}", 8.5, MUTED),
    ]
    left.append(paragraph(f"Made by {identity.manufacturer}; not verified by a person", 8.5, MUTED))
    badge: Any = ""
    if is_research(analysis):
        badge = [paragraph(finding_text.RESEARCH_SHORT, 14, bold=True, after=1), paragraph("not for clinical use", 8)]
    commands: list[Any] = [("VALIGN", (0, 0), (0, 0), "TOP")]
    if badge:
        commands += [("BACKGROUND", (1, 0), (1, 0), AMBER), ("LEFTPADDING", (1, 0), (1, 0), 8)]
        commands += [("TOPPADDING", (1, 0), (1, 0), 6), ("BOTTOMPADDING", (1, 0), (1, 0), 6)]
    table = Table([[left, badge]], colWidths=[WIDTH - 128, 128])
    table.setStyle(compact_style(*commands))
    return table


def _details_table(analysis: Analysis) -> Any:
    """Patient, study and analysis, in two pairs of columns."""
    bold = ("Patient", "Patient ID")
    cells = [[paragraph(name, 7.5, MUTED), paragraph(value, bold=name in bold)] for name, value in study_details(analysis)]
    half = (len(cells) + 1) // 2
    rows = [[*cells[i], *(cells[half + i] if half + i < len(cells) else ["", ""])] for i in range(half)]
    table = Table(rows, colWidths=[52, WIDTH / 2 - 52, 56, WIDTH / 2 - 56])
    padding = [("LEFTPADDING", (0, 0), (-1, -1), 6), ("RIGHTPADDING", (0, 0), (-1, -1), 4), ("TOPPADDING", (0, 0), (-1, -1), 2)]
    table.setStyle(compact_style(("BACKGROUND", (0, 0), (-1, -1), BACKGROUND), *padding, ("BOTTOMPADDING", (0, 0), (-1, -1), 3)))
    return table


def _outcome_box(analysis: Analysis) -> Any:
    """The outcome in large letters, and what it means."""
    headline, meaning = finding_text.outcome_sentences(analysis)
    lines = [paragraph(headline, 13, bold=True, after=2), paragraph(meaning, 9)]
    if analysis.prediction.reason:
        lines.append(paragraph(f"Reason: {analysis.prediction.reason}", 9, bold=True))
    lines += [paragraph(sentence, 9, bold=True) for sentence in analysis.prediction.not_covered]
    table = Table([["", lines]], colWidths=[5, WIDTH - 5])
    padding = [("LEFTPADDING", (1, 0), (1, 0), 9), ("RIGHTPADDING", (1, 0), (1, 0), 9), ("TOPPADDING", (1, 0), (1, 0), 5)]
    edge = [("BACKGROUND", (0, 0), (0, 0), EDGE_COLOURS[analysis.prediction.outcome]), ("BOX", (0, 0), (-1, -1), 0.5, LINE)]
    table.setStyle(compact_style(*edge, *padding, ("BOTTOMPADDING", (1, 0), (1, 0), 6)))
    return table
