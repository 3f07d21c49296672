"""The rejection of an outdated result's objects at a destination that has stored them: a Key Object Selection (IHE IOCM, TID 2010).

Titled "Rejected for Quality Reasons" (113001, DCM) of CID 7010, because a better answer has come and nothing was unsafe or of the wrong
patient. Archives hide rejected objects from regular use and keep them for audit. The report is not rejected: its successor names it as
predecessor.
"""

from collections.abc import Sequence

from core.concepts import codes
from core.records import ResultObject
from core.states import ResultKind
from db.jobs.job_records import StoredElsewhere
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.objects.key_object import encode_key_object
from workers.encode.result_identity import is_research
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ContentItem


def encode(analysis: Analysis, outdated: Sequence[StoredElsewhere], *, destination: str) -> ResultObject:
    """The rejection, as a Part 10 file, of the objects ``outdated`` (at least one) that one destination has stored."""
    kind, profile = ResultKind.REJECTION, f"{ResultKind.REJECTION}@{destination}"
    selected: dict[str, dict[str, str]] = {}  # archives act on this list
    for item in outdated:
        selected.setdefault(item.series_instance_uid, {})[item.sop_instance_uid] = item.sop_class_uid
    return encode_key_object(analysis, kind, profile, codes.REJECTED, [_description(analysis), *map(_reference, outdated)], selected)


def _description(analysis: Analysis) -> ContentItem:
    status = f"{finding_text.RESEARCH}. " if is_research(analysis) else ""
    why = f"{finding_text.model_line(analysis)} has answered again for the same images, and these objects are of the answer before"
    text = f"{status}Outdated: {why}."
    return content_items.text_item(codes.KEY_OBJECT_DESCRIPTION, text)


def _reference(item: StoredElsewhere) -> ContentItem:
    """A reference without a concept name, which TID 2010 forbids."""
    return content_items.reference_item(None, (item.sop_class_uid, item.sop_instance_uid, None))
