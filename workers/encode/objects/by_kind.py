"""What is made of an analysis beside its report, by kind."""

from collections.abc import Callable, Mapping

from core.records import ReportObject
from core.states import ReportKind
from workers.encode.analysis import Analysis, Companion
from workers.encode.objects import heatmap, key_images, parametric_map, pdf, segmentation

# One instance, several (a series), or none where there is nothing to say.
Encoder = Callable[[Analysis], ReportObject | tuple[ReportObject, ...] | None]
# In this order they are kept and sent.
ENCODERS: Mapping[ReportKind, Encoder] = {
    ReportKind.SEG: segmentation.encode,
    ReportKind.PARAMETRIC_MAP: parametric_map.encode,
    ReportKind.HEATMAP: heatmap.encode,
    ReportKind.KEY_IMAGES: key_images.encode,
    ReportKind.PDF: pdf.encode,
}
NEEDS_EVIDENCE = frozenset({ReportKind.HEATMAP, ReportKind.PARAMETRIC_MAP, ReportKind.PDF})


def encode(kind: ReportKind, analysis: Analysis) -> tuple[ReportObject, ...]:
    """The instances of that kind."""
    made = ENCODERS[kind](analysis)
    if made is None:
        return ()
    return made if isinstance(made, tuple) else (made,)


def companion(analysis: Analysis, made: ReportObject) -> Companion:
    """How the report names it."""
    segments = segmentation.segments(analysis) if made.kind is ReportKind.SEG else {}
    return Companion(made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, segments)
