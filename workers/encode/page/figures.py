"""The pictures of the page, as many pixels as printing needs, each with its caption."""

from collections.abc import Iterator
from typing import Any

from PIL import Image as Pictures
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Table

from workers.encode.page.type import MUTED, WIDTH, paragraph, plain
from workers.encode.pictures.style import legend
from workers.encode.pictures.views import Panel, View

DPI = 200
PICTURED = 3  # findings with pictures on the page
LARGE_PT, BESIDE_PT, GAP = 232.0, 138.0, 8.0
BESIDE_PHOTOGRAPH = 196.0


def pictures(findings: int, views: tuple[View, ...], scale: float, beside: Any = None) -> Iterator[Any]:
    """Side by side: the pictures of one view, or a column a finding. ``findings``: how many there are.

    ``beside``: what stands on the right of a photograph, `BESIDE_PHOTOGRAPH` wide.
    """
    shown = views[:PICTURED]
    if len(shown) == 1:
        first, *others = shown[0].panels
        large, small = LARGE_PT, BESIDE_PT
        if shown[0].number == 0:  # a photograph: the image, and the image with the evidence
            large = small = (WIDTH - BESIDE_PHOTOGRAPH) / 2 - GAP if beside is not None else WIDTH / 2 - GAP
        parts = [_captioned(first, large * scale), *(_captioned(one, small * scale) for one in others)]
        yield _row([*parts, beside] if beside is not None else parts)
    else:
        yield _row([_column(view, (WIDTH / len(shown) - GAP) * scale) for view in shown])
    missing = findings - len(shown)
    if views[0].number and missing > 0:
        yield paragraph(f"Pictures of the {len(shown)} surest findings; {missing} more without a picture here.", 7, MUTED)
    if any(panel.heat for view in views for panel in view.panels):
        none, most = "no evidence", "most evidence; it says where, not that it is right"
        bar = Picture(Pictures.fromarray(legend(360, 24)), 90)
        yield _row([paragraph(none, 7, MUTED), bar, paragraph(most, 7, MUTED)], [46, 94, 260])


def _column(view: View, width: float) -> Any:
    """The slice, below it what is around the finding and the plane across."""
    first, *others = view.panels
    parts = [_captioned(first, width)]
    if others:
        parts.append(_row([_captioned(one, width / len(others) - GAP) for one in others]))
    return _row([[part] for part in parts], below=True)


def _captioned(panel: Panel, width: float) -> Any:
    return _row([[Picture(panel.image, width)], [paragraph(panel.caption, 6, MUTED)]], [width], below=True)


def _row(cells: list[Any], widths: list[float] | None = None, *, below: bool = False) -> Any:
    """Parts beside each other as wide as they are, or one below the other."""
    if below:
        table = Table(cells, colWidths=widths, hAlign="LEFT")
    else:
        table = Table([cells], colWidths=widths or [cell.minWidth() + GAP for cell in cells], hAlign="LEFT")
    table.setStyle(plain())
    return table


class Picture(Flowable):  # type: ignore[misc]
    """An image at ``width`` points, with as many pixels as printing needs."""

    def __init__(self, image: Pictures.Image, width: float) -> None:
        super().__init__()
        self.image, self.width, self.height = image, width, width * image.height / image.width

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height + 2

    def draw(self) -> None:
        pixels = min(self.image.width, round(self.width / 72 * DPI))
        size = pixels, max(1, round(self.image.height * pixels / self.image.width))
        fitted = self.image.resize(size, Pictures.Resampling.LANCZOS)
        self.canv.drawImage(ImageReader(fitted), 0, 2, self.width, self.height)
