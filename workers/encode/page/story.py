"""The parts of the page in their order, the most important first."""

from collections.abc import Iterator
from typing import Any

from reportlab.platypus import Spacer, Table

from core.states import Outcome
from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.common import is_research
from workers.encode.page.facts import facts
from workers.encode.page.figures import BESIDE_PHOTOGRAPH, pictures
from workers.encode.page.tables import classes, findings
from workers.encode.page.type import AMBER, BLUE, GREY, GROUND, LINE, MUTED, WIDTH, paragraph, plain
from workers.encode.pictures.views import View

EDGES = {Outcome.FINDINGS: BLUE, Outcome.NO_FINDING: GREY, Outcome.ABSTAINED: AMBER, Outcome.NOT_ANALYSED: AMBER}


def story(analysis: Analysis, views: tuple[View, ...], scale: float) -> list[Any]:
    """Everything that the page says. ``scale``: of the pictures."""
    return [*_parts(analysis, views, scale)]


def _parts(analysis: Analysis, views: tuple[View, ...], scale: float) -> Iterator[Any]:
    prediction = analysis.prediction
    yield _title(analysis)
    yield Spacer(0, 6)
    yield _facts(analysis)
    yield Spacer(0, 8)
    yield _answer(analysis)
    if prediction.findings:
        yield Spacer(0, 8)
        yield findings(analysis)
    probable = prediction.outcome is Outcome.FINDINGS and bool(prediction.probabilities)
    beside = probable and bool(views) and views[0].number == 0
    if views:
        yield Spacer(0, 8)
        yield from pictures(len(prediction.findings), views, scale, classes(analysis, BESIDE_PHOTOGRAPH) if beside else None)
    if probable and not beside:
        yield Spacer(0, 6)
        yield classes(analysis)
    yield Spacer(0, 6)
    if prediction.looked_for and prediction.outcome in (Outcome.FINDINGS, Outcome.NO_FINDING):
        yield _heading("What was looked for")
        yield paragraph(prediction.looked_for, after=3)
    yield _heading("What it is not for")
    yield paragraph(analysis.identity.not_for, after=3)
    advice = [analysis.advice[label] for label in dict.fromkeys(f.label for f in prediction.findings) if analysis.advice.get(label)]
    notes = list(dict.fromkeys([*advice, *prediction.notes]))
    for name, lines in (("Notes on this analysis", notes), ("Known limits of the model", analysis.limits)):
        if lines:
            yield Spacer(0, 2)
            yield _heading(name)
            yield from (paragraph(line, 7, bullet=True, after=0.5) for line in lines)


def _heading(text: str) -> Any:
    return paragraph(text, 8.5, BLUE, bold=True, after=1)


def _title(analysis: Analysis) -> Any:
    identity = analysis.identity
    left = [paragraph(identity.title, 15, bold=True, after=2), paragraph(f"AI result of {words.model_line(analysis)}", 8.5, MUTED)]
    left.append(paragraph(f"Made by {identity.manufacturer}; not verified by a person", 8.5, MUTED))
    badge: Any = ""
    if is_research(analysis):
        badge = [paragraph(words.RESEARCH_SHORT, 14, bold=True, after=1), paragraph("not for clinical use", 8)]
    table = Table([[left, badge]], colWidths=[WIDTH - 128, 128])
    table.setStyle(plain(("VALIGN", (0, 0), (0, 0), "TOP"), *([("BACKGROUND", (1, 0), (1, 0), AMBER), ("LEFTPADDING", (1, 0), (1, 0), 8),
                          ("TOPPADDING", (1, 0), (1, 0), 6), ("BOTTOMPADDING", (1, 0), (1, 0), 6)] if badge else [])))  # fmt: skip
    return table


def _facts(analysis: Analysis) -> Any:
    """Who and which study: two pairs of columns."""
    who = ("Patient", "Patient ID")
    cells = [[paragraph(name, 7.5, MUTED), paragraph(value, bold=name in who)] for name, value in facts(analysis)]
    half = (len(cells) + 1) // 2
    rows = [[*cells[i], *(cells[half + i] if half + i < len(cells) else ["", ""])] for i in range(half)]
    table = Table(rows, colWidths=[52, WIDTH / 2 - 52, 56, WIDTH / 2 - 56])
    padding = [("LEFTPADDING", (0, 0), (-1, -1), 6), ("RIGHTPADDING", (0, 0), (-1, -1), 4), ("TOPPADDING", (0, 0), (-1, -1), 2)]
    table.setStyle(plain(("BACKGROUND", (0, 0), (-1, -1), GROUND), *padding, ("BOTTOMPADDING", (0, 0), (-1, -1), 3)))
    return table


def _answer(analysis: Analysis) -> Any:
    """How it ended, in large letters, and what that means."""
    headline, meaning = words.outcome(analysis)
    lines = [paragraph(headline, 13, bold=True, after=2), paragraph(meaning, 9)]
    if analysis.prediction.reason:
        lines.append(paragraph(f"Reason: {analysis.prediction.reason}", 9, bold=True))
    table = Table([["", lines]], colWidths=[5, WIDTH - 5])
    padding = [("LEFTPADDING", (1, 0), (1, 0), 9), ("RIGHTPADDING", (1, 0), (1, 0), 9), ("TOPPADDING", (1, 0), (1, 0), 5)]
    edge = [("BACKGROUND", (0, 0), (0, 0), EDGES[analysis.prediction.outcome]), ("BOX", (0, 0), (-1, -1), 0.5, LINE)]
    table.setStyle(plain(*edge, *padding, ("BOTTOMPADDING", (1, 0), (1, 0), 6)))
    return table
