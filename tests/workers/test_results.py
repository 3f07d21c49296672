"""Who gets a result, and that what fails our check is held."""

from dataclasses import replace
from pathlib import Path

from core.records import Code, Prediction
from core.settings import load_settings
from core.states import Outcome
from db.blobs import Blobs
from db.records import ClaimedJob
from tests.support import analyses
from tests.support.queueing import configure
from workers import results


def job(*destinations: str, predecessors: dict[str, tuple[str, str, str]] | None = None) -> ClaimedJob:
    """Only what says who gets what is asked of it."""
    made = object.__new__(ClaimedJob)
    object.__setattr__(made, "destinations", destinations)
    object.__setattr__(made, "predecessors", predecessors or {})
    return made


def test_research_goes_only_where_it_is_accepted(tmp_path: Path) -> None:
    settings = configure(tmp_path, "postgresql://localhost/none")
    assert results.recipients(settings, ("pacs", "clinic", "gone"), "research") == results.Recipients(("pacs", "gone"), ("clinic",))
    assert results.recipients(settings, ("pacs", "clinic"), "clinical") == results.Recipients(("pacs", "clinic"), ())
    assert results.recipients(load_settings(None, {}), ("any",), "research").takers == ("any",)


def test_one_report_for_all_who_have_the_same_past(tmp_path: Path) -> None:
    analysis = analyses.shapes()["ct-findings"]
    (stored,) = results.reports(job("a", "b"), analysis, Blobs(tmp_path), ("a", "b"))
    assert (stored.report.profile, stored.destinations, stored.problems) == ("sr", ("a", "b"), ())
    older = ("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "2.25.2")
    (stored,) = results.reports(job("a", "b", predecessors={"a": older, "b": older}), analysis, Blobs(tmp_path), ("a", "b"))
    assert (stored.report.profile, stored.destinations) == ("sr", ("a", "b"))
    both = results.reports(job("a", "b", predecessors={"a": older}), analysis, Blobs(tmp_path), ("a", "b"))
    assert [(each.report.profile, each.destinations) for each in both] == [("sr@a", ("a",)), ("sr@b", ("b",))]


def test_a_report_is_kept_also_where_nobody_takes_it(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    (stored,) = results.reports(job("clinic"), analyses.shapes()["skin-findings"], blobs, ())
    assert stored.destinations == ()
    assert blobs.read(stored.blob.sha256) == stored.report.content


def test_what_fails_our_check_is_held_with_the_reason(tmp_path: Path) -> None:
    invented = replace(analyses.nodule(), code=Code("0815", "SCT", "Surely harmless"))
    analysis = analyses.ct(Prediction(Outcome.FINDINGS, (invented,)))
    (stored,) = results.reports(job("a"), analysis, Blobs(tmp_path), ("a",))
    assert any("is not known" in problem for problem in stored.problems)
