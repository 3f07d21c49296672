"""Who gets a result, and that what fails our check is held."""

import io
from dataclasses import replace
from pathlib import Path

from pydicom import dcmread

from core.policy.result_profiles import ResultProfiles
from core.records import Code, Mask, Prediction
from core.states import Outcome, ResultKind
from db.blobs.store import Blobs
from db.records import ClaimedJob, StoredObject
from deploy.settings_file import load_settings
from tests.support import analyses
from tests.support.queued_jobs import configure
from workers.results import objects as results_objects


def job(*destinations: str, predecessors: dict[str, tuple[str, str, str]] | None = None) -> ClaimedJob:
    """Only what says who gets what is asked of it."""
    made = object.__new__(ClaimedJob)
    object.__setattr__(made, "destinations", destinations)
    object.__setattr__(made, "predecessors", predecessors or {})
    object.__setattr__(made, "id", 1)
    return made


def test_research_goes_only_where_it_is_accepted(tmp_path: Path) -> None:
    settings = configure(tmp_path, "postgresql://localhost/none")
    assert results_objects.recipients(settings, ("pacs", "clinic", "gone"), "research") == results_objects.Recipients(
        ("pacs", "gone"), ("clinic",)
    )
    assert results_objects.recipients(settings, ("pacs", "clinic"), "clinical") == results_objects.Recipients(("pacs", "clinic"), ())
    assert results_objects.recipients(load_settings(None, {}), ("any",), "research").takers == ("any",)


SEG, PDF, SR = ResultKind.SEG, ResultKind.PDF, ResultKind.SR
OLDER = ("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "2.25.2")


def taking(**given: set[ResultKind]) -> ResultProfiles:
    return {name: frozenset(kinds) for name, kinds in given.items()}


def made(objects: tuple[StoredObject, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """(profile, destinations) of each object, in its order; all of them clean."""
    assert all(one.problems == () for one in objects)
    return [(one.report.profile, one.destinations) for one in objects]


def named(stored: StoredObject) -> set[str]:
    """SOP Instance UIDs that a report refers to, its inputs left out."""
    report = dcmread(io.BytesIO(stored.report.content))
    inside = {str(element.value) for element in report.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    return {uid for uid in inside if len(uid) > 20}


def test_one_report_for_all_who_have_the_same_past(tmp_path: Path) -> None:
    analysis, blobs = analyses.shapes()["ct-findings"], Blobs(tmp_path)
    assert made(results_objects.objects(job("a", "b"), analysis, blobs, ("a", "b"), {})) == [("sr", ("a", "b"))]
    alike = job("a", "b", predecessors={"a": OLDER, "b": OLDER})
    assert made(results_objects.objects(alike, analysis, blobs, ("a", "b"), {})) == [("sr", ("a", "b"))]
    unlike = job("a", "b", predecessors={"a": OLDER})
    assert made(results_objects.objects(unlike, analysis, blobs, ("a", "b"), {})) == [("sr@a", ("a",)), ("sr@b", ("b",))]


def test_each_destination_gets_its_profile_and_a_report_that_names_no_more(tmp_path: Path) -> None:
    names = ("viewer", "modern", "ris", "page")
    given = taking(viewer={SR, SEG}, modern={SR, SEG}, ris={SR}, page={PDF, SEG})
    kept = results_objects.objects(job(*names), analyses.masked_ct(), Blobs(tmp_path), names, given)
    outline = kept[0]
    assert (outline.report.profile, outline.destinations) == ("seg", ("viewer", "modern", "page"))
    reports = {one.report.profile: one for one in kept if one.report.kind is SR}
    assert {profile: one.destinations for profile, one in reports.items()} == {"sr+seg": ("viewer", "modern"), "sr": ("ris",)}
    assert named(reports["sr+seg"]) == {outline.report.sop_instance_uid}
    assert named(reports["sr"]) == set()
    assert len({one.report.sop_instance_uid for one in kept}) == len({one.report.series_instance_uid for one in kept}) == len(kept)
    assert [one.report.kind for one in kept].index(SR) == len(kept) - 2  # the reports last


def test_nothing_to_outline_is_one_report_for_all(tmp_path: Path) -> None:
    analysis = replace(analyses.shapes()["ct-no-finding"], item=analyses.volume())
    given = taking(viewer={SR, SEG}, ris={SR})
    assert made(results_objects.objects(job("viewer", "ris"), analysis, Blobs(tmp_path), ("viewer", "ris"), given)) == [
        ("sr", ("viewer", "ris"))
    ]


def test_an_object_that_cannot_be_made_costs_nobody_the_report(tmp_path: Path) -> None:
    analysis = analyses.masked_ct()
    outside = replace(analysis.prediction.findings[0], mask=Mask((11, 0, 0), (4, 1, 2), bytes([255])))
    broken = replace(analysis, prediction=replace(analysis.prediction, findings=(outside,)))
    kept = results_objects.objects(job("a"), broken, Blobs(tmp_path), ("a",), taking(a={SR, SEG}))
    assert made(kept) == [("sr", ("a",))]
    texts = [str(element.value) for element in dcmread(io.BytesIO(kept[0].report.content)).iterall() if element.keyword == "TextValue"]
    assert "Could not be made for this result: seg." in texts


def test_a_report_is_kept_also_where_nobody_takes_it(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    (stored,) = results_objects.objects(job("clinic"), analyses.shapes()["skin-findings"], blobs, (), {})
    assert stored.destinations == ()
    assert blobs.read(stored.blob.sha256) == stored.report.content


def test_what_fails_our_check_is_held_with_the_reason_and_named_by_no_report(tmp_path: Path) -> None:
    invented = replace(analyses.masked_ct().prediction.findings[0], site=Code("0815", "SCT", "Surely harmless"))
    analysis = replace(analyses.masked_ct(), prediction=Prediction(Outcome.FINDINGS, (invented,)))
    outline, report = results_objects.objects(job("a"), analysis, Blobs(tmp_path), ("a",), taking(a={SR, SEG}))
    assert any("is not known" in problem for problem in outline.problems)
    assert any("is not known" in problem for problem in report.problems)
    assert named(report) == set()
