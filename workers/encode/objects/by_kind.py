"""The encoder of each kind of result object beside the report.

To add a kind of object:

1. Add it to `core.states.ResultKind`, with its words, series number and code in `workers.encode.result_identity`, to ``DOCUMENTS`` of
   `workers.encode.dicom_modules` where it is a document, and with its name on pages to ``WORDS`` of `console.formats`.
2. Write a module in this folder with ``PROFILE`` and ``encode(analysis)``, as `key_images` does: `new_result_dataset` gives the modules
   that all objects share, `encode_object` the file. Everything is derived from the analysis, so that a retry gives the same bytes.
3. Add it to ``ENCODERS`` here, and to ``NEEDS_HEAT_MAP`` if it shows the heat map.
4. State its attributes in `core.iods`, and what else the validator checks of it in `workers.encode.validate.object_structure`.
5. Name it in the description of ``objects`` (`core.settings.peers.destinations`). Test it in ``tests/workers/encode/objects`` with
   dciodvfy, and the validator with one fault for each check (``tests/workers/encode/validate/test_validate_objects.py``).
"""

from collections.abc import Callable, Mapping

from core.records import ResultObject
from core.states import ResultKind
from workers.encode.analysis import Analysis, RelatedObject
from workers.encode.objects import heatmap, key_images, parametric_map, pdf, segmentation

# Returns one instance, several (a series), or None if there is nothing to show.
Encoder = Callable[[Analysis], ResultObject | tuple[ResultObject, ...] | None]
# In the order in which objects are stored and sent.
ENCODERS: Mapping[ResultKind, Encoder] = {
    ResultKind.SEG: segmentation.encode,
    ResultKind.PARAMETRIC_MAP: parametric_map.encode,
    ResultKind.HEATMAP: heatmap.encode,
    ResultKind.KEY_IMAGES: key_images.encode,
    ResultKind.PDF: pdf.encode,
}
NEEDS_HEAT_MAP = frozenset({ResultKind.HEATMAP, ResultKind.PARAMETRIC_MAP, ResultKind.PDF})


def encode_kind(kind: ResultKind, analysis: Analysis) -> tuple[ResultObject, ...]:
    """The instances of one kind."""
    made = ENCODERS[kind](analysis)
    if made is None:
        return ()
    return made if isinstance(made, tuple) else (made,)


def related_object(analysis: Analysis, made: ResultObject) -> RelatedObject:
    """An object as the report refers to it."""
    segments = segmentation.segment_numbers(analysis) if made.kind is ResultKind.SEG else {}
    return RelatedObject(made.kind, made.sop_class_uid, made.sop_instance_uid, made.series_instance_uid, segments)
