"""Typefaces, colours, and the styles of paragraphs and tables of the page."""

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

from workers.encode.page.text_coverage import Typeface, drawable_text, typeface_of
from workers.encode.pictures.fonts import east_asian_font_path, font_path

MARGIN = 34.0
WIDTH = A4[0] - 2 * MARGIN
REGULAR, BOLD, EAST_ASIAN = "DejaVu", "DejaVu-Bold", "EastAsian"
INK, MUTED, LINE, BACKGROUND = HexColor(0x14181C), HexColor(0x55606A), HexColor(0xC9D0D6), HexColor(0xF1F4F6)
AMBER, BLUE, GREY = HexColor(0xF0B232), HexColor(0x1F6FB2), HexColor(0x8A949D)


@cache
def register_typefaces() -> None:
    """Register the typefaces of every page with reportlab, once in a process."""
    for name, bold in ((REGULAR, False), (BOLD, True)):
        pdfmetrics.registerFont(TTFont(name, str(font_path(bold))))


@cache
def _register_east_asian() -> None:
    """Register the second typeface, which takes longest to read, when the first text needs it."""
    pdfmetrics.registerFont(TTFont(EAST_ASIAN, str(east_asian_font_path())))


def paragraph(
    text: str, size: float = 8.5, colour: Color = INK, *, bold: bool = False, after: float = 0, bullet: bool = False
) -> Paragraph:
    """A paragraph of plain text. Characters that cannot be drawn are replaced by a visible gap."""
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
    return Paragraph(_font_markup(drawable_text(text)), style, bulletText="•" if bullet else None)


def _font_markup(text: str) -> str:
    """Reportlab's markup, with each run of characters in the typeface that has them."""
    runs = [(face, escape("".join(characters))) for face, characters in groupby(text, typeface_of)]
    if any(face is Typeface.EAST_ASIAN for face, _ in runs):
        _register_east_asian()
    return "".join(f'<font name="{EAST_ASIAN}">{run}</font>' if face is Typeface.EAST_ASIAN else run for face, run in runs)


def compact_style(*more: Any) -> TableStyle:
    """A table style with almost no padding, and the given commands after it."""
    base = [("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 0), ("TOPPADDING", (0, 0), (-1, -1), 0)]
    return TableStyle([*base, ("BOTTOMPADDING", (0, 0), (-1, -1), 1), ("VALIGN", (0, 0), (-1, -1), "TOP"), *more])
