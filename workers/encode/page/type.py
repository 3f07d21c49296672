"""Typeface, colours and paragraphs of the page."""

from functools import cache
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, TableStyle

from workers.encode.page.glyphs import Face, face, shown
from workers.encode.pictures.style import east_asian_path, font_path

MARGIN = 34.0
WIDTH = A4[0] - 2 * MARGIN
REGULAR, BOLD, EAST_ASIAN = "DejaVu", "DejaVu-Bold", "EastAsian"
INK, MUTED, LINE, GROUND = HexColor(0x14181C), HexColor(0x55606A), HexColor(0xC9D0D6), HexColor(0xF1F4F6)
AMBER, BLUE, GREY = HexColor(0xF0B232), HexColor(0x1F6FB2), HexColor(0x8A949D)


@cache
def use_typeface() -> None:
    """Make the typefaces known to reportlab, once in a process."""
    for name, bold in ((REGULAR, False), (BOLD, True)):
        pdfmetrics.registerFont(TTFont(name, str(font_path(bold))))
    other = east_asian_path()
    if other is not None:
        pdfmetrics.registerFont(TTFont(EAST_ASIAN, str(other)))


def paragraph(
    text: str, size: float = 8.5, colour: Color = INK, *, bold: bool = False, after: float = 0, bullet: bool = False
) -> Paragraph:
    """Plain text that wraps; characters that cannot be drawn leave a visible gap."""
    style = ParagraphStyle(
        "text",
        fontName=BOLD if bold else REGULAR,
        fontSize=size,
        leading=size * 1.28,
        textColor=colour,
        spaceAfter=after,
        leftIndent=9 if bullet else 0,
        bulletFontName=REGULAR,
        bulletFontSize=size,
        bulletColor=colour,
        splitLongWords=1,
    )
    return Paragraph(_markup(shown(text)), style, bulletText="•" if bullet else None)


def _markup(text: str) -> str:
    """Each run of characters in the typeface that has them."""
    runs = ((one, escape("".join(characters))) for one, characters in groupby(text, face))
    return "".join(f'<font name="{EAST_ASIAN}">{run}</font>' if one is Face.EAST_ASIAN else run for one, run in runs)


def plain(*more: Any) -> TableStyle:
    """No padding but a little below; what is given comes on top."""
    base = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0), ("TOPPADDING", (0, 0), (-1, -1), 0)]
    return TableStyle([*base, ("BOTTOMPADDING", (0, 0), (-1, -1), 1), ("VALIGN", (0, 0), (-1, -1), "TOP"), *more])
