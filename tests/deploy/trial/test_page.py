"""The page of a trial: it says what the document says, whatever stands in it, and loads nothing from elsewhere."""

import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from core.policy.trial.cases import ClinicalReference, TrialAnswer, TrialCase, TrialMark
from core.policy.trial.figures import compute_figures
from core.states import JobState, Outcome
from deploy.trial.document import TrialAbout, trial_document
from deploy.trial.page import MOST_DIFFERENCES, TrialFiles, render_page
from deploy.trial.run import duration_words

MARK = TrialMark("nodule", (1.0, 2.0, 3.0), 6.0, 0.9)
VOID = {"meta", "br", "link", "img"}


def about(task: str = "detect", active: str = "1.0") -> TrialAbout:
    return TrialAbout(
        model="lung", version="2.0", digest="e" * 64, title="Lung <nodules>", status="research", not_for="Not for diagnosis.", task=task,
        unit="series", active=active, active_digest="d" * 64 if active else "", by_conditions=not active, unreadable=2,
        routes=("chest", "a & b"),
        since=datetime(2026, 1, 31, tzinfo=UTC), until=None, limit=500, console="https://node.example", actor="cli:eve",
        written_at=datetime(2026, 2, 1, 12, tzinfo=UTC), program="0.1.0",
    )  # fmt: skip


def answer(job: int, *marks: TrialMark, version: str = "2.0", outcome: Outcome | None = None, reason: str = "") -> TrialAnswer:
    given = outcome or (Outcome.FINDINGS if marks else Outcome.NO_FINDING)
    digest = "d" * 64 if version == "1.0" else "e" * 64
    return TrialAnswer(job, version, digest, JobState.DELIVERED, given, reason, marks, 1.0, 0.5, 900)


def document(cases: list[TrialCase], task: str = "detect", active: str = "1.0") -> dict[str, Any]:
    return trial_document(about(task, active), compute_figures(cases, task))


def differing(count: int) -> list[TrialCase]:
    """Units that the version on trial finds nothing in, and one on which it abstained."""
    reference = ClinicalReference((MARK,), (), whole=True)
    attributes = {"scanner": "A <One>", "slice thickness": "up to 1 mm", "kernel": "medium", "sex": "", "age": "60 and more"}
    cases = [TrialCase(n, 10 + n, answer(n), answer(1000 + n, MARK, version="1.0"), reference, attributes) for n in range(1, count + 1)]
    abstained = answer(900, outcome=Outcome.ABSTAINED, reason="<b>gaps</b> & holes")
    return [*cases, TrialCase(900, 900, abstained, answer(1900, version="1.0"), None, attributes | {"sex": "female"})]


class _Nesting(HTMLParser):
    """Collects start tags without an end, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    ("cases", "task", "active"),
    [
        ([], "detect", ""),
        (differing(3), "detect", "1.0"),
        (differing(3), "classify", "1.0"),
        ([TrialCase(1, 1, None, None, None, {}, images_removed=True)], "classify", ""),
    ],
)
def test_every_page_is_whole_and_loads_nothing(cases: list[TrialCase], task: str, active: str) -> None:
    page = render_page(document(cases, task, active))
    parser = _Nesting()
    parser.feed(page)
    assert parser.open == []
    assert not re.search(r"src=|@import|url\(|<script|<link", page)
    assert not re.search(r">\s*None\s*<|Undefined|\{\{", page)


def test_what_the_figures_say_is_on_the_page_and_text_stays_text() -> None:
    page = render_page(document(differing(3)))
    for shown in (
        *("Lung &lt;nodules&gt;", "&lt;b&gt;gaps&lt;/b&gt; &amp; holes", "A &lt;One&gt;", "chest, a &amp; b", "1.0 (active)"),
        *("0 % (0 to 56 %), 0 of 3", "100 % (44 to 100 %), 3 of 3", "0.00 (0.00 to 1.22), 0 in 3", "not stated"),
        "since 2026-01-31T00:00:00+00:00",
        *('href="https://node.example/studies/11"', "no finding; reported was nodule (0.90)", "at most the latest 500"),
    ):
        assert shown in page, shown
    assert "<b>gaps" not in page


def test_a_long_list_of_differences_is_cut_on_the_page_and_whole_in_the_document() -> None:
    made = document(differing(MOST_DIFFERENCES + 5))
    assert len(made["differences"]) == MOST_DIFFERENCES + 6
    page = render_page(made)
    assert page.count("/studies/") == MOST_DIFFERENCES
    assert f"the first {MOST_DIFFERENCES} are listed here" in page


def test_a_classifier_has_its_confusion() -> None:
    mel, nv = TrialMark("mel"), TrialMark("nv")
    cases = [
        TrialCase(1, 1, answer(1, mel), answer(11, nv, version="1.0"), ClinicalReference((mel,), (), True), {}),
        TrialCase(2, 2, answer(2), answer(12, nv, version="1.0"), ClinicalReference((nv,), (), True), {}),
    ]
    made = document(cases, "classify")
    assert made["agreement"][0]["crossed"] == [{"reported": "nv", "tried": "", "units": 1}, {"reported": "nv", "tried": "mel", "units": 1}]
    assert made["reference"]["confusion"] == [
        {"clinician": "mel", "said": "mel", "units": 1},
        {"clinician": "nv", "said": "", "units": 1},
    ]
    page = render_page(made)
    assert "Sensitivity by class" in page
    assert "of 2 that both have answered" in page
    assert made["paired"] == {"both": 0, "only_candidate": 1, "only_reported": 1, "neither": 0}
    assert '<th scope="col" class="n">none</th>' in page
    assert "The headers state none of them." in page


def test_the_files_are_those_of_the_audit_trail(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path / "out", tmp_path / "copy.json")
    files.require_writable()
    hashes = files.write(document(differing(1)))
    assert {name: hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() for name in ("trial.html", "trial.json")} == {
        name: hashes[name] for name in ("trial.html", "trial.json")
    }
    assert (tmp_path / "copy.json").read_bytes() == (tmp_path / "out" / "trial.json").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_durations_are_words() -> None:
    assert [duration_words(seconds) for seconds in (40, 720, 12600)] == ["40 s", "12 min", "3.5 h"]


def test_what_a_committee_looks_for_first_stands_at_the_top() -> None:
    top = render_page(document(differing(3))).split("<h2>")[0]
    for shown in (
        *("Trial of Lung &lt;nodules&gt;", "lung 2.0, status research", "e" * 64, "d" * 64, "since 2026-01-31", "at most the latest 500"),
        *("4 series of 4 studies", "3 answered, 1 abstained, 0 not analysed", "is no validation of the model", "not for diagnosis"),
        *("0 % (0 to 56 %), 0 of 3", "Findings of the clinicians marked", "75 % (30 to 95 %), 3 of 4"),
    ):
        assert shown in top, shown
    assert top.count("<svg") == 3


def test_a_group_of_few_units_has_no_figures() -> None:
    cases = differing(40)
    made = document(cases)
    page = render_page(made)
    of_groups = page[page.index("<h2>By scanner") : page.index("<h2>Time and memory")]
    assert '<td>female</td><td class="n">1</td><td colspan="3">fewer than 30 answered units: no figures</td>' in of_groups
    assert "98 % (87 to 100 %), 40 of 41" in of_groups  # of the one scanner
    assert {(row["value"], row["units"], row["few"]) for row in made["groups"] if row["attribute"] == "sex"} == {
        ("not stated", 40, False), ("female", 1, True),
    }  # fmt: skip


def test_places_that_cannot_be_written_are_named_before_the_work(tmp_path: Path) -> None:
    """The folder was made after hours of work, which then had no page."""
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "trial.json").mkdir(parents=True)
    for files, says in (
        (TrialFiles(tmp_path / "file", None), "is no folder"),
        (TrialFiles(tmp_path / "taken", None), "trial.json is a folder"),
        (TrialFiles(tmp_path / "new", tmp_path), "is a folder"),
        (TrialFiles(tmp_path / "new", tmp_path / "new" / "trial.html"), "is the page of the trial"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            files.require_writable()
    with pytest.raises(FileNotFoundError):
        TrialFiles(tmp_path / "new", tmp_path / "nowhere" / "figures.json").require_writable()
    assert list((tmp_path / "new").iterdir()) == [], "a check leaves nothing"
