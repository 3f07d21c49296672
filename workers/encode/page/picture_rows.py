"""The pictures of the page with their captions, in rows."""

from collections.abc import Iterator
from typing import Any

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Table

from workers.encode.page.typography import MUTED, WIDTH, compact_style, paragraph
from workers.encode.pictures.captioned_pictures import CaptionedPicture, FindingView
from workers.encode.pictures.colours import heat_legend

DPI = 200
MAX_VIEWS_SHOWN = 3
LARGE_PT, SMALL_PT, GAP_PT = 232.0, 138.0, 8.0
BESIDE_PHOTOGRAPH_PT = 196.0


def picture_rows(findings: int, views: tuple[FindingView, ...], scale: float, beside: Any = None) -> Iterator[Any]:
    """The pictures of one view side by side, or one column for each of several views; then the legend of the heat map.

    ``findings``: the number of findings. ``beside``: a flowable to the right of a photograph, `BESIDE_PHOTOGRAPH_PT` wide.
    """
    shown = views[:MAX_VIEWS_SHOWN]
    if len(shown) == 1:
        first, *others = shown[0].pictures
        large, small = LARGE_PT, SMALL_PT
        if shown[0].number == 0:  # a photograph: the image, and the image with the heat map
            large = small = (WIDTH - BESIDE_PHOTOGRAPH_PT) / 2 - GAP_PT if beside is not None else WIDTH / 2 - GAP_PT
        parts = [_captioned(first, large * scale), *(_captioned(one, small * scale) for one in others)]
        yield _row([*parts, beside] if beside is not None else parts)
    else:
        yield _row([_column(view, (WIDTH / len(shown) - GAP_PT) * scale) for view in shown])
    missing = findings - len(shown)
    if views[0].number and missing > 0:
        yield paragraph(f"Pictures of the {len(shown)} surest findings; {missing} more without a picture here.", 7, MUTED)
    if any(picture.heat for view in views for picture in view.pictures):
        none, most = "no evidence", "most evidence; it says where, not that it is right"
        bar = PrintedImage(Image.fromarray(heat_legend(360, 24)), 90)
        yield _row([paragraph(none, 7, MUTED), bar, paragraph(most, 7, MUTED)], [46, 94, 260])


def _column(view: FindingView, width: float) -> Any:
    """The slice, below it the enlarged part and the perpendicular plane."""
    first, *others = view.pictures
    parts = [_captioned(first, width)]
    if others:
        parts.append(_row([_captioned(one, width / len(others) - GAP_PT) for one in others]))
    return _row([[part] for part in parts], below=True)


def _captioned(picture: CaptionedPicture, width: float) -> Any:
    """A picture with its caption below."""
    return _row([[PrintedImage(picture.image, width)], [paragraph(picture.caption, 6, MUTED)]], [width], below=True)


def _row(cells: list[Any], widths: list[float] | None = None, *, below: bool = False) -> Any:
    """A table of parts side by side, or one below the other."""
    if below:
        table = Table(cells, colWidths=widths, hAlign="LEFT")
    else:
        table = Table([cells], colWidths=widths or [cell.minWidth() + GAP_PT for cell in cells], hAlign="LEFT")
    table.setStyle(compact_style())
    return table


class PrintedImage(Flowable):  # type: ignore[misc]
    """An image of ``width`` points, reduced to the pixels that printing needs."""

    def __init__(self, image: Image.Image, width: float) -> None:
        """``width``: in points; the height follows from the image."""
        super().__init__()
        self.image, self.width, self.height = image, width, width * image.height / image.width

    def wrap(self, *_: float) -> tuple[float, float]:
        """Width and height in points."""
        return self.width, self.height + 2

    def draw(self) -> None:
        """Draw on the canvas of the page."""
        pixels = min(self.image.width, round(self.width / 72 * DPI))
        size = pixels, max(1, round(self.image.height * pixels / self.image.width))
        fitted = self.image.resize(size, Image.Resampling.LANCZOS)
        self.canv.drawImage(ImageReader(fitted), 0, 2, self.width, self.height)
