"""One view as a sheet: whose answer it is, what it says, the pictures, the legend, what it is not for. Never who the patient is."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.common import is_research
from workers.encode.pictures.style import GROUND, INK, MUTED, WARNING, Rgb, font, legend
from workers.encode.pictures.views import Panel, View

MARGIN = 24
GAP = 16
MIN_WIDTH = 900
LEGEND_PX = (240, 16)


class _Sheet:
    """A picture that grows downwards: ``y`` is where the next thing goes."""

    def __init__(self, width: int) -> None:
        self.image = Image.new("RGB", (width, 4000), GROUND)
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.y = width, MARGIN

    def line(self, text: str, size: int, colour: Rgb = INK, *, bold: bool = False, width: int | None = None, x: int = MARGIN) -> None:
        """Words over as many lines as they need."""
        face = font(size, bold)
        for row in wrapped(text, face, (width or self.width) - 2 * MARGIN):
            self.draw.text((x, self.y), row, font=face, fill=colour)
            self.y += round(size * 1.35)

    def badge(self, text: str, size: int) -> int:
        """Words in a box in the upper right corner; how wide it is."""
        face = font(size, True)
        wide = round(self.draw.textlength(text, font=face)) + 24
        box = (self.width - MARGIN - wide, MARGIN, self.width - MARGIN, MARGIN + size + 20)
        self.draw.rectangle(box, fill=WARNING)
        self.draw.text((box[0] + 12, box[1] + 8), text, font=face, fill=GROUND)
        return wide


def sheet(analysis: Analysis, view: View) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8, the whole sheet of a view."""
    first, *rest = view.panels
    beside = [panel for panel in rest if panel.image.width < first.image.width] or rest
    column = max((panel.image.width for panel in beside), default=0)
    page = _Sheet(max(MIN_WIDTH, 2 * MARGIN + first.image.width + (GAP + column if beside else 0)))
    badge = page.badge(words.RESEARCH_SHORT, 26) + GAP if is_research(analysis) else 0
    page.line(analysis.identity.title, 26, bold=True, width=page.width - badge)
    page.line(words.model_line(analysis), 18, MUTED, width=page.width - badge)
    page.y += GAP // 2
    for row in _headlines(analysis, view):
        page.line(row, 22, bold=True)
    page.y += GAP // 2
    top = page.y
    _put(page, first, MARGIN)
    bottom = page.y
    page.y = top
    for panel in beside:
        _put(page, panel, MARGIN + first.image.width + GAP)
    page.y = max(bottom, page.y) + GAP // 2
    status = f"{words.RESEARCH}. " if is_research(analysis) else ""
    page.line(f"{status}{words.NOT_ALONE}", 20, WARNING, bold=True)
    page.line(analysis.identity.not_for, 17, MUTED)
    return np.asarray(page.image.crop((0, 0, page.width, page.y + MARGIN)), np.uint8)


def _headlines(analysis: Analysis, view: View) -> Iterator[str]:
    """Of CT the finding that is shown, and which of how many it is; of a photograph all."""
    findings = analysis.prediction.findings
    for number, finding in enumerate(findings, 1):
        if view.number in (0, number):
            yield words.headline(finding, number if len(findings) > 1 else None)
    if view.number and len(findings) > 1:
        yield f"finding {view.number} of {len(findings)}"


def _put(page: _Sheet, panel: Panel, x: int) -> None:
    """A picture, its caption, and the legend where it shows evidence."""
    page.image.paste(panel.image, (x, page.y))
    page.y += panel.image.height + 6
    page.line(panel.caption, 16, MUTED, width=panel.image.width + 2 * MARGIN, x=x)
    if panel.heat:
        wide, high = LEGEND_PX
        page.draw.text((x, page.y), "0", font=font(16), fill=INK)
        page.image.paste(Image.fromarray(legend(wide, high)), (x + 18, page.y + 3))
        page.draw.text((x + wide + 26, page.y), "1  evidence", font=font(16), fill=INK)
        page.y += high + 12
    page.y += GAP // 2


@lru_cache(256)
def wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> tuple[str, ...]:
    """The text in rows that fit; a word that is wider than a row is cut. Kept: most of a sheet's texts are the model's."""
    rows: list[str] = []
    row = ""
    for word in text.split():
        while face.getlength(word) > width:
            fits = next(n for n in range(len(word), 0, -1) if n == 1 or face.getlength(word[:n]) <= width)
            rows, row, word = [*rows, *([row] if row else []), word[:fits]], "", word[fits:]
        longer = f"{row} {word}".strip()
        if face.getlength(longer) <= width:
            row = longer
        else:
            rows, row = [*rows, row], word
    return (*rows, row) if row else tuple(rows)
