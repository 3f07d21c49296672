"""The views of an analysis: one for each of the most confident findings on CT, or one of a photograph, of frames or of a slide."""

from core.records import Finding
from core.states import Outcome
from imaging.frames.frame_series import FrameSeries
from imaging.photograph.read import Photograph
from imaging.slide.slide import Slide
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.pictures.captioned_pictures import FindingView
from workers.encode.pictures.frame_view import frame_view
from workers.encode.pictures.photograph_view import photograph_view
from workers.encode.pictures.slide_view import slide_view
from workers.encode.pictures.volume_views import volume_view

MAX_VIEWS = 6


def finding_views(analysis: Analysis) -> tuple[FindingView, ...]:
    """Views of at most `MAX_VIEWS` findings, the most confident first; () if nothing was found or nothing of it can be shown."""
    if analysis.prediction.outcome is not Outcome.FINDINGS:
        return ()
    if not isinstance(analysis.item, Volume):
        view = _single_view(analysis)
        return () if view is None else (view,)
    findings = analysis.prediction.findings
    numbers = by_confidence(findings)[:MAX_VIEWS]
    views = (volume_view(analysis, analysis.item, findings[number - 1], number) for number in numbers)
    return tuple(view for view in views if view is not None)


def _single_view(analysis: Analysis) -> FindingView | None:
    """The view of a unit that is shown in one picture, with all its findings; None where there is nothing to show."""
    if isinstance(analysis.item, Photograph):
        return photograph_view(analysis, analysis.item)
    if isinstance(analysis.item, Slide):
        return slide_view(analysis, analysis.item)
    if isinstance(analysis.item, FrameSeries):
        return frame_view(analysis, analysis.item, next(iter(analysis.prediction.findings), None))
    return None


def by_confidence(findings: tuple[Finding, ...]) -> list[int]:
    """Numbers of the findings, from 1, by falling probability, else score; equal ones in their order."""
    confidence = [finding.probability if finding.probability is not None else finding.score or 0.0 for finding in findings]
    return sorted(range(1, len(findings) + 1), key=lambda number: (-confidence[number - 1], number))
