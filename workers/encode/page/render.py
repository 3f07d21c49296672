"""The result page for clinicians, as PDF: findings with confidence and place, the model, and what it is not for.

A4, on one page if it fits, else on several; nothing is left out silently. The same analysis gives the same bytes. The properties of the
file name the model and no person.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.page.sections import build_sections
from workers.encode.page.typography import AMBER, INK, MARGIN, MUTED, WIDTH, paragraph, register_typefaces
from workers.encode.pictures.captioned_pictures import FindingView
from workers.encode.result_identity import is_research

FOOTER_PT = 52.0
SCALES = tuple(percent / 100 for percent in range(100, 49, -5))  # of the pictures, tried until everything fits on one page


def render_pdf(analysis: Analysis, views: tuple[FindingView, ...]) -> bytes:
    """The PDF. Pictures are as large as one page allows; if even the smallest do not fit, there are several pages."""
    register_typefaces()
    available = A4[1] - MARGIN - FOOTER_PT
    for scale in SCALES:
        if _total_height(build_sections(analysis, views, scale)) <= available:
            return _build(analysis, build_sections(analysis, views, scale), 1)[0]
    _, pages = _build(analysis, build_sections(analysis, views, SCALES[0]), 0)
    return _build(analysis, build_sections(analysis, views, SCALES[0]), pages)[0]


def _total_height(parts: list[Any]) -> float:
    """Height in points of the parts one below the other, with the space between them."""
    return float(sum(part.wrap(WIDTH, A4[1])[1] + part.getSpaceBefore() + part.getSpaceAfter() for part in parts))


def _build(analysis: Analysis, parts: list[Any], pages: int) -> tuple[bytes, int]:
    """The file and the number of its pages. ``pages``: the number that the footers state; 0 if it is not known yet."""
    buffer = io.BytesIO()
    status = f" ({finding_text.RESEARCH_SHORT})" if is_research(analysis) else ""
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title=f"AI result: {finding_text.model_line(analysis)}{status}",
        author=analysis.identity.manufacturer,
        subject=finding_text.NOT_ALONE,
        creator="dicom-node",
        producer="dicom-node",
        lang="en",
        invariant=1,
    )
    frame = Frame(MARGIN, FOOTER_PT, WIDTH, A4[1] - MARGIN - FOOTER_PT, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    footer: Callable[[Canvas, Any], None] = partial(_draw_footer, analysis, pages)
    document.addPageTemplates([PageTemplate(frames=[frame], onPage=footer)])
    document.build(parts)
    return buffer.getvalue(), int(document.page)


def _draw_footer(analysis: Analysis, pages: int, canvas: Canvas, document: Any) -> None:
    """On every page: not for diagnosis, for research or not, the model, and the page number."""
    canvas.saveState()
    canvas.setStrokeColor(AMBER)
    canvas.setLineWidth(1.5)
    canvas.line(MARGIN, FOOTER_PT - 6, MARGIN + WIDTH, FOOTER_PT - 6)
    status = f"{finding_text.RESEARCH}. " if is_research(analysis) else ""
    bold = paragraph(f"{status}{finding_text.NOT_ALONE}", 8, INK, bold=True)
    bold.wrap(WIDTH, FOOTER_PT)
    bold.drawOn(canvas, MARGIN, FOOTER_PT - 20)
    small = paragraph(f"{finding_text.model_line(analysis)} · page {document.page} of {pages or document.page}", 7, MUTED)
    small.wrap(WIDTH, FOOTER_PT)
    small.drawOn(canvas, MARGIN, FOOTER_PT - 31)
    canvas.restoreState()
