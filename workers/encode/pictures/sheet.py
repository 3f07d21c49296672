"""The sheet of a view: model, headline, pictures, legend, and what the model is not for. It never shows who the patient is."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.pictures.captioned_pictures import CaptionedPicture, FindingView
from workers.encode.pictures.colours import BACKGROUND, INK, MUTED, WARNING, Rgb, heat_legend
from workers.encode.pictures.fonts import font
from workers.encode.result_identity import is_research

MARGIN = 24
GAP = 16
MIN_WIDTH = 900
LEGEND_PX = (240, 16)


class _Sheet:
    """A picture that is filled downwards. ``y``: where the next line goes."""

    def __init__(self, width: int) -> None:
        self.image = Image.new("RGB", (width, 4000), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)
        self.width, self.y = width, MARGIN

    def line(self, text: str, size: int, colour: Rgb = INK, *, bold: bool = False, width: int | None = None, x: int = MARGIN) -> None:
        """Write text over as many lines as it needs."""
        face = font(size, bold)
        for row in wrap_text(text, face, (width or self.width) - 2 * MARGIN):
            self.draw.text((x, self.y), row, font=face, fill=colour)
            self.y += round(size * 1.35)

    def badge(self, text: str, size: int) -> int:
        """Write text in a box in the upper right corner. Returns the width of the box."""
        face = font(size, True)
        wide = round(self.draw.textlength(text, font=face)) + 24
        box = (self.width - MARGIN - wide, MARGIN, self.width - MARGIN, MARGIN + size + 20)
        self.draw.rectangle(box, fill=WARNING)
        self.draw.text((box[0] + 12, box[1] + 8), text, font=face, fill=BACKGROUND)
        return wide


def draw_sheet(analysis: Analysis, view: FindingView) -> NDArray[np.uint8]:
    """The sheet of a view, (Y, X, 3) uint8. Smaller pictures stand beside the first one."""
    first, *rest = view.pictures
    beside = [picture for picture in rest if picture.image.width < first.image.width] or rest
    column = max((picture.image.width for picture in beside), default=0)
    page = _Sheet(max(MIN_WIDTH, 2 * MARGIN + first.image.width + (GAP + column if beside else 0)))
    badge = page.badge(finding_text.RESEARCH_SHORT, 26) + GAP if is_research(analysis) else 0
    page.line(analysis.identity.title, 26, bold=True, width=page.width - badge)
    page.line(finding_text.model_line(analysis), 18, MUTED, width=page.width - badge)
    page.y += GAP // 2
    for row in _headlines(analysis, view):
        page.line(row, 22, bold=True)
    page.y += GAP // 2
    top = page.y
    _place_picture(page, first, MARGIN)
    bottom = page.y
    page.y = top
    for picture in beside:
        _place_picture(page, picture, MARGIN + first.image.width + GAP)
    page.y = max(bottom, page.y) + GAP // 2
    status = f"{finding_text.RESEARCH}. " if is_research(analysis) else ""
    page.line(f"{status}{finding_text.NOT_ALONE}", 20, WARNING, bold=True)
    page.line(analysis.identity.not_for, 17, MUTED)
    return np.asarray(page.image.crop((0, 0, page.width, page.y + MARGIN)), np.uint8)


def _headlines(analysis: Analysis, view: FindingView) -> Iterator[str]:
    """On CT the finding that is shown, and its number of all; on a photograph all findings."""
    findings = analysis.prediction.findings
    for number, finding in enumerate(findings, 1):
        if view.number in (0, number):
            yield finding_text.headline(finding, number if len(findings) > 1 else None)
    if view.number and len(findings) > 1:
        yield f"finding {view.number} of {len(findings)}"


def _place_picture(page: _Sheet, picture: CaptionedPicture, x: int) -> None:
    """Place a picture with its caption, and the legend if it shows the heat map."""
    page.image.paste(picture.image, (x, page.y))
    page.y += picture.image.height + 6
    page.line(picture.caption, 16, MUTED, width=picture.image.width + 2 * MARGIN, x=x)
    if picture.heat:
        wide, high = LEGEND_PX
        page.draw.text((x, page.y), "0", font=font(16), fill=INK)
        page.image.paste(Image.fromarray(heat_legend(wide, high)), (x + 18, page.y + 3))
        page.draw.text((x + wide + 26, page.y), "1  evidence", font=font(16), fill=INK)
        page.y += high + 12
    page.y += GAP // 2


@lru_cache(256)
def wrap_text(text: str, face: ImageFont.FreeTypeFont, width: float) -> tuple[str, ...]:
    """The text in rows that fit; words wider than a row are split. Cached, because most texts of a sheet are the model's."""
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
