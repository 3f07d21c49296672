"""The view of a whole slide: its overview with the tiles of the findings, and with the heat map over it."""

from dataclasses import replace

import numpy as np
from PIL import Image

from imaging.photograph.read import Photograph
from imaging.slide.slide import Slide
from workers.encode.analysis import Analysis
from workers.encode.pictures.annotations import draw_circle
from workers.encode.pictures.captioned_pictures import CaptionedPicture, FindingView
from workers.encode.pictures.photograph_view import photograph_view

RADIUS_PX = 22.0


def slide_view(analysis: Analysis, slide: Slide) -> FindingView | None:
    """The overview with a circle around the tile of each finding, and with the heat map; None without a heat map."""
    shown = slide.overview_level
    view = photograph_view(analysis, Photograph(slide.overview, shown.sop_instance_uid, None, "", "", None, ()))
    if view is None:
        return None
    first, *others = view.pictures
    image = Image.fromarray(np.array(first.image))
    for number, finding in enumerate(analysis.prediction.findings, 1):
        level = next((one for one in slide.levels if finding.sop_instance_uid in one.sop_instance_uids), None)
        if level is not None and finding.image_point is not None:
            (column, row), (down, across) = finding.image_point, slide.overview_scale(level)
            centre = column * across * image.width / slide.overview.shape[1], row * down * image.height / slide.overview.shape[0]
            draw_circle(image, centre, RADIUS_PX, str(number))
    pixel_um = shown.pixel_um * shown.matrix.rows / slide.overview.shape[0]
    caption = f"the slide at {pixel_um:.3g} µm per pixel; circles: the tile in which a finding is strongest"
    return replace(view, frame=None, pictures=(CaptionedPicture(image, caption), *others))
