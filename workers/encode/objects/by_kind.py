"""What is made of an analysis beside its report, by kind."""

from collections.abc import Callable, Mapping

from core.records import ResultObject
from core.states import ResultKind
from workers.encode.analysis import Analysis, Companion
from workers.encode.objects import heatmap, key_images, parametric_map, pdf, segmentation

# One instance, several (a series), or none where there is nothing to say.
Encoder = Callable[[Analysis], ResultObject | tuple[ResultObject, ...] | None]
# In this order they are kept and sent.
ENCODERS: Mapping[ResultKind, Encoder] = {
    ResultKind.SEG: segmentation.encode,
    ResultKind.PARAMETRIC_MAP: parametric_map.encode,
    ResultKind.HEATMAP: heatmap.encode,
    ResultKind.KEY_IMAGES: key_images.encode,
    ResultKind.PDF: pdf.encode,
}
NEEDS_EVIDENCE = frozenset({ResultKind.HEATMAP, ResultKind.PARAMETRIC_MAP, ResultKind.PDF})


def encode(kind: ResultKind, analysis: Analysis) -> tuple[ResultObject, ...]:
    """The instances of that kind."""
    made = ENCODERS[kind](analysis)
    if made is None:
        return ()
    return made if isinstance(made, tuple) else (made,)


def companion(analysis: Analysis, made: ResultObject) -> Companion:
    """How the report names it."""
    segments = segmentation.segments(analysis) if made.kind is ResultKind.SEG else {}
    return Companion(made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, segments)
