"""Makes the structured reports of a result: one for each set of objects and predecessors that a report has to name.

A report names the objects that its recipients receive, so there is a report for each different set of objects. It also names the
predecessor that its recipients have stored, so it is made per destination where these differ. A report that names no other object is
always made and kept: the console shows it, and it goes to a destination that refuses one of the other objects
(``db.deliveries.delivery_order``).
"""

from collections.abc import Mapping
from dataclasses import replace

from core.policy.result_profiles import report_profile
from core.states import ResultKind
from db.jobs.job_records import ClaimedJob
from workers.encode.analysis import Analysis, Predecessor, RelatedObject
from workers.encode.sr import document
from workers.results.make import ObjectDraft, images_of, within_limit
from workers.results.recipients import Recipients


def make_reports(job: ClaimedJob, analysis: Analysis, others: list[RelatedObject], recipients: Recipients) -> list[ObjectDraft]:
    """Encode the reports; ``others`` are the objects of the result that passed the check, which alone are named.

    Raises
    ------
    EncodingError
        A report is larger than ``worker.max_object_bytes``.
    """
    by_objects: dict[tuple[RelatedObject, ...], tuple[str, ...]] = {}
    for name in recipients.takers_of(ResultKind.SR):
        named = tuple(item for item in others if item.kind in recipients.kinds_of(name))
        by_objects[named] = (*by_objects.get(named, ()), name)
    without_others = by_objects.pop((), ())
    drafts = []
    for named, names in by_objects.items():
        drafts += _reports_naming(job, replace(analysis, related_objects=named), names, receiving=names)
    everybody = tuple(name for names in (*by_objects.values(), without_others) for name in names)
    drafts += _reports_naming(job, replace(analysis, related_objects=()), everybody, receiving=without_others)
    return drafts


def _reports_naming(job: ClaimedJob, analysis: Analysis, names: tuple[str, ...], *, receiving: tuple[str, ...]) -> list[ObjectDraft]:
    """Encode the report on ``analysis`` for the destinations ``names``: one, or one each where their predecessors differ.

    Only those in ``receiving`` are sent it now.
    """
    kinds = [item.kind for item in analysis.related_objects]
    predecessors = {name: job.predecessors.get(name) for name in names}
    if len(set(predecessors.values())) <= 1:
        return [_report(_succeeding(analysis, predecessors), report_profile(kinds), receiving)]
    return [
        _report(_succeeding(analysis, {name: predecessors[name]}), report_profile(kinds, name), (name,) if name in receiving else ())
        for name in names
    ]


def _succeeding(analysis: Analysis, predecessors: Mapping[str, tuple[str, str, str] | None]) -> Analysis:
    """Return the analysis for the destinations of ``predecessors``, with the reports that they have stored."""
    stored = dict.fromkeys(Predecessor(*uids) for uids in predecessors.values() if uids is not None)
    earlier = None if analysis.earlier is None else analysis.earlier.for_destinations(predecessors)
    return replace(analysis, predecessors=tuple(stored), earlier=earlier)


def _report(analysis: Analysis, profile: str, destinations: tuple[str, ...]) -> ObjectDraft:
    made = within_limit(document.encode(analysis, profile=profile), analysis.max_object_bytes)
    others = tuple(item.sop_instance_uid for item in analysis.related_objects)
    priors = () if analysis.earlier is None else tuple(report.sop_instance_uid for _, report in analysis.earlier.referenced)
    return ObjectDraft(made, destinations, (*images_of(analysis), *others, *priors))
