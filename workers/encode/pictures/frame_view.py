"""The view of a finding on a frame of OCT or ultrasound: the frame, and the frame with the heat map over it."""

from dataclasses import replace

from core.records import Finding, HeatMap
from imaging.frames.frame_series import FrameSeries
from imaging.masks import pack_heat_map
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.pictures.captioned_pictures import CaptionedPicture, FindingView
from workers.encode.pictures.heat_values import heat_on_slice
from workers.encode.pictures.photograph_view import photograph_view


def frame_view(analysis: Analysis, series: FrameSeries, finding: Finding | None) -> FindingView | None:
    """The frame that the finding names; without one the frame of most evidence. None where there is no heat map."""
    index = _frame_of(series, finding) if finding is not None and finding.sop_instance_uid else _strongest(analysis.heat)
    if index is None or analysis.heat is None:
        return None
    uid, number = series.place(index)
    rgb = series.rgb(index)
    heat = heat_on_slice(analysis.heat, index, (rgb.shape[0], rgb.shape[1]))
    shown = replace(analysis, heat=pack_heat_map(heat[None], meaning=analysis.heat.meaning))
    view = photograph_view(shown, Photograph(rgb, uid, None, "", "", None, ()))
    if view is None:
        return None
    first, *others = view.pictures
    caption = f"frame {number} of {series.files[series.frames[index][0]].spec.frames}, as received"
    return replace(view, frame=number, pictures=(CaptionedPicture(first.image, caption), *others))


def _frame_of(series: FrameSeries, finding: Finding) -> int | None:
    places = (series.place(index) for index in range(len(series.frames)))
    return next((index for index, place in enumerate(places) if place == (finding.sop_instance_uid, finding.frame)), None)


def _strongest(heat: HeatMap | None) -> int | None:
    """The frame on which the map is highest."""
    if heat is None:
        return None
    plane = heat.values.index(max(heat.values)) // (heat.shape[1] * heat.shape[2])
    return round(heat.origin[0] + heat.step[0] * plane)
