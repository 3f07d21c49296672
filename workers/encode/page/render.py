"""The page that a clinician reads, as PDF: what was found, how sure, where, by which model, and what it is not for.

A4, one page where it fits; what does not fit goes on to a second one: nothing is left out silently. The same analysis gives the
same bytes. The file's own properties name the model and nobody else.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.common import is_research
from workers.encode.page.story import story
from workers.encode.page.type import AMBER, INK, MARGIN, MUTED, WIDTH, paragraph, use_typeface
from workers.encode.pictures.views import View

FOOT = 52.0
SCALES = tuple(percent / 100 for percent in range(100, 49, -5))  # of the pictures, so that all fits on one page


def render(analysis: Analysis, views: tuple[View, ...]) -> bytes:
    """The PDF, its pictures as large as one page allows; where the smallest are too large, as many pages as it needs."""
    use_typeface()
    room = A4[1] - MARGIN - FOOT
    for scale in SCALES:
        if _height(story(analysis, views, scale)) <= room:
            return _build(analysis, story(analysis, views, scale), 1)[0]
    _, pages = _build(analysis, story(analysis, views, SCALES[0]), 0)
    return _build(analysis, story(analysis, views, SCALES[0]), pages)[0]


def _height(parts: list[Any]) -> float:
    """What the parts take, one below the other, with the space that each wants."""
    return float(sum(part.wrap(WIDTH, A4[1])[1] + part.getSpaceBefore() + part.getSpaceAfter() for part in parts))


def _build(analysis: Analysis, parts: list[Any], pages: int) -> tuple[bytes, int]:
    """The file and how many pages it has; ``pages``: what the feet say of it, 0 where it is not known yet."""
    buffer = io.BytesIO()
    status = f" ({words.RESEARCH_SHORT})" if is_research(analysis) else ""
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=f"AI result: {words.model_line(analysis)}{status}",
        author=analysis.identity.manufacturer,
        subject=words.NOT_ALONE,
        creator="dicom-node",
        producer="dicom-node",
        lang="en",
        invariant=1,
    )
    frame = Frame(MARGIN, FOOT, WIDTH, A4[1] - MARGIN - FOOT, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    foot: Callable[[Canvas, Any], None] = partial(_foot, analysis, pages)
    document.addPageTemplates([PageTemplate(frames=[frame], onPage=foot)])
    document.build(parts)
    return buffer.getvalue(), int(document.page)


def _foot(analysis: Analysis, pages: int, canvas: Canvas, document: Any) -> None:
    """On every page: that it is no diagnosis, for research or not, whose answer it is, and which page of how many."""
    canvas.saveState()
    canvas.setStrokeColor(AMBER)
    canvas.setLineWidth(1.5)
    canvas.line(MARGIN, FOOT - 6, MARGIN + WIDTH, FOOT - 6)
    status = f"{words.RESEARCH}. " if is_research(analysis) else ""
    bold = paragraph(f"{status}{words.NOT_ALONE}", 8, INK, bold=True)
    bold.wrap(WIDTH, FOOT)
    bold.drawOn(canvas, MARGIN, FOOT - 20)
    small = paragraph(f"{words.model_line(analysis)} · page {document.page} of {pages or document.page}", 7, MUTED)
    small.wrap(WIDTH, FOOT)
    small.drawOn(canvas, MARGIN, FOOT - 31)
    canvas.restoreState()
