"""Recipients of a result, the reports that name what each of them receives, and objects that fail the check."""

import io
from dataclasses import replace
from pathlib import Path

from pydicom import dcmread

from core.policy.result_profiles import ResultProfiles
from core.records import Code, Mask, Prediction
from core.settings.settings import Settings
from core.states import Outcome, ResultKind
from db.blobs.store import Blobs
from db.jobs.job_records import ClaimedJob, StoredObject
from deploy.settings_file import load_settings
from tests.support import analyses
from tests.support.queued_jobs import configure
from tests.workers.conftest import texts_of
from workers.results.pipeline import store_result_objects
from workers.results.recipients import Recipients, select_recipients


def job(*destinations: str, predecessors: dict[str, tuple[str, str, str]] | None = None, source: str = "PACS") -> ClaimedJob:
    """A job of which only the fields matter that decide on recipients."""
    made = object.__new__(ClaimedJob)
    fields = {"id": 1, "destinations": destinations, "predecessors": predecessors or {}, "outdated": (), "source": source}
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def test_research_goes_only_where_it_is_accepted(tmp_path: Path) -> None:
    settings = configure(tmp_path, "postgresql://localhost/none")

    def chosen(settings: Settings, names: tuple[str, ...], status: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        found = select_recipients(settings, names, status)
        return found.accepting, found.excluded

    assert chosen(settings, ("pacs", "clinic", "unknown"), "research") == (("pacs", "unknown"), ("clinic",))
    assert chosen(settings, ("pacs", "clinic"), "clinical") == (("pacs", "clinic"), ())
    assert chosen(load_settings(None, {}), ("any",), "research") == (("any",), ())


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


def test_destinations_with_the_same_predecessor_share_a_report(tmp_path: Path) -> None:
    analysis, blobs = analyses.shapes()["ct-findings"], Blobs(tmp_path)
    assert made(store_result_objects(job("a", "b"), analysis, Recipients(("a", "b")), blobs)) == [("sr", ("a", "b"))]
    alike = job("a", "b", predecessors={"a": OLDER, "b": OLDER})
    assert made(store_result_objects(alike, analysis, Recipients(("a", "b")), blobs)) == [("sr", ("a", "b"))]
    unlike = job("a", "b", predecessors={"a": OLDER})
    assert made(store_result_objects(unlike, analysis, Recipients(("a", "b")), blobs)) == [("sr@a", ("a",)), ("sr@b", ("b",))]


def test_what_was_uploaded_in_the_console_has_a_pdf_whoever_takes_it(tmp_path: Path) -> None:
    analysis = analyses.shapes()["ct-findings"]
    stored = store_result_objects(job("a", source="CONSOLE"), analysis, Recipients(("a",)), Blobs(tmp_path))
    assert made(stored) == [("pdf", ()), ("sr", ("a",))]
    assert not named(stored[1]) & {stored[0].report.sop_instance_uid}, "the report names only what its receiver gets"


def test_each_destination_gets_its_profile_and_a_report_that_names_only_those_objects(tmp_path: Path) -> None:
    names = ("viewer", "modern", "ris", "page")
    given = taking(viewer={SR, SEG}, modern={SR, SEG}, ris={SR}, page={PDF, SEG})
    kept = store_result_objects(job(*names), analyses.masked_ct(), Recipients(names, profiles=given), Blobs(tmp_path))
    outline = kept[0]
    assert (outline.report.profile, outline.destinations) == ("seg", ("viewer", "modern", "page"))
    reports = {one.report.profile: one for one in kept if one.report.kind is SR}
    assert {profile: one.destinations for profile, one in reports.items()} == {"sr+seg": ("viewer", "modern"), "sr": ("ris",)}
    assert named(reports["sr+seg"]) == {outline.report.sop_instance_uid}
    assert named(reports["sr"]) == set()
    assert len({one.report.sop_instance_uid for one in kept}) == len({one.report.series_instance_uid for one in kept}) == len(kept)
    assert [one.report.kind for one in kept].index(SR) == len(kept) - 2  # the reports last


def test_without_a_segmentation_all_destinations_share_a_report(tmp_path: Path) -> None:
    analysis = replace(analyses.shapes()["ct-no-finding"], item=analyses.volume())
    given = taking(viewer={SR, SEG}, ris={SR})
    assert made(store_result_objects(job("viewer", "ris"), analysis, Recipients(("viewer", "ris"), profiles=given), Blobs(tmp_path))) == [
        ("sr", ("viewer", "ris"))
    ]


def test_an_object_that_cannot_be_made_is_named_in_the_report(tmp_path: Path) -> None:
    analysis = analyses.masked_ct()
    outside = replace(analysis.prediction.findings[0], mask=Mask((11, 0, 0), (4, 1, 2), bytes([255])))
    broken = replace(analysis, prediction=replace(analysis.prediction, findings=(outside,)))
    kept = store_result_objects(job("a"), broken, Recipients(("a",), profiles=taking(a={SR, SEG})), Blobs(tmp_path))
    assert made(kept) == [("sr", ("a",))]
    texts = texts_of(dcmread(io.BytesIO(kept[0].report.content)))
    assert "Could not be made for this result: seg." in texts


def test_a_report_without_recipients_is_kept(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    (stored,) = store_result_objects(job("clinic"), analyses.shapes()["skin-findings"], Recipients(()), blobs)
    assert stored.destinations == ()
    assert blobs.read(stored.blob.sha256) == stored.report.content


def test_an_object_that_fails_the_check_is_held_with_the_reason_and_named_by_no_report(tmp_path: Path) -> None:
    invented = replace(analyses.masked_ct().prediction.findings[0], site=Code("0815", "SCT", "Surely harmless"))
    analysis = replace(analyses.masked_ct(), prediction=Prediction(Outcome.FINDINGS, (invented,)))
    outline, report = store_result_objects(job("a"), analysis, Recipients(("a",), profiles=taking(a={SR, SEG})), Blobs(tmp_path))
    assert any("is not known" in problem for problem in outline.problems)
    assert any("is not known" in problem for problem in report.problems)
    assert named(report) == set()
