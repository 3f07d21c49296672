"""The view of a photograph: the image with outlines, and with the heat map over it."""

import numpy as np
from PIL import Image

from imaging.masks import expand_mask
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.pictures.annotations import draw_outline
from workers.encode.pictures.captioned_pictures import CaptionedPicture, FindingView
from workers.encode.pictures.colours import overlay_heat
from workers.encode.pictures.heat_values import heat_at

PHOTOGRAPH_PX = 800


def photograph_view(analysis: Analysis, photograph: Photograph) -> FindingView | None:
    """The image with the outlines of its findings, and the image with the heat map; None if there is neither."""
    masks = [finding.mask for finding in analysis.prediction.findings if finding.mask is not None]
    if not masks and analysis.heat is None:
        return None
    rows, columns = photograph.rgb.shape[:2]
    scale = PHOTOGRAPH_PX / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    plain = np.asarray(Image.fromarray(photograph.rgb).resize(size, Image.Resampling.LANCZOS), np.uint8)
    rgb = plain
    for mask in masks:
        whole = expand_mask(mask, (1, rows, columns))[0].astype(np.uint8) * 255
        rgb = draw_outline(rgb, np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BILINEAR)) >= 128, width=4)
    pictures = [CaptionedPicture(Image.fromarray(rgb), "the image as received" + (", with the outline of the lesion" if masks else ""))]
    if analysis.heat is not None:
        down, across = ((np.arange(n) + 0.5) * of / n - 0.5 for n, of in zip(size[::-1], (rows, columns), strict=True))
        shown = overlay_heat(plain, heat_at(analysis.heat, 0.0, down, across))
        pictures.append(CaptionedPicture(Image.fromarray(shown), analysis.heat.meaning, True))
    sop_instance_uid = photograph.sop_instance_uid or analysis.source.images[0].sop_instance_uid
    return FindingView(0, tuple(pictures), sop_instance_uid, 1)
