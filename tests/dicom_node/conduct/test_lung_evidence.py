"""Answers to the search for lungs, by the contents of a series."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import wait
from pathlib import Path
from threading import Event

import pytest

from core.errors import ImagesUnreadable
from core.policy.routes.body_part.condition import NOT_SEEN, SEEN, LungsSeen
from dicom_node.conduct.image_search import lung_evidence
from dicom_node.conduct.image_search.lung_evidence import LungEvidence


def _after_searches(evidence: LungEvidence) -> None:
    """Return when every search that was begun so far has ended: the pool has one thread."""
    wait([evidence._pool.submit(int)])


def test_more_series_than_are_remembered_all_get_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of a series that waited was dropped for those of others, and each question began a further search."""
    searched: Counter[Sequence[Path]] = Counter()
    all_asked = Event()

    def look(paths: Sequence[Path]) -> LungsSeen:
        all_asked.wait(60)
        searched[paths] += 1
        return SEEN, paths[0].name

    monkeypatch.setattr(lung_evidence, "look_for_lungs", look)
    evidence, waiting = LungEvidence(), [(Path(str(number)),) for number in range(lung_evidence.REMEMBERED + 50)]
    assert {evidence.request(paths) for paths in waiting} == {None}
    all_asked.set()
    _after_searches(evidence)
    assert [evidence.request(paths) for paths in waiting] == [(SEEN, paths[0].name) for paths in waiting]
    assert set(searched.values()) == {1}
    evidence.close()


def test_a_search_that_failed_is_repeated_when_the_unit_is_routed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = ("not seen", "the images cannot be read within the limits")
    answers = iter([failed, (SEEN, "lungs")])
    monkeypatch.setattr(lung_evidence, "look_for_lungs", lambda paths: next(answers))
    evidence, paths = LungEvidence(), (Path("a"),)
    found = []
    for _ in range(2):
        answer = evidence.request(paths)
        _after_searches(evidence)
        found.append(answer or evidence.request(paths))
    assert found == [failed, (SEEN, "lungs")]
    evidence.close()


def test_a_search_whose_files_could_not_be_read_is_repeated(tmp_path: Path) -> None:
    evidence, paths = LungEvidence(), (tmp_path / "image",)
    assert evidence.request(paths) is None
    _after_searches(evidence)
    with pytest.raises(ImagesUnreadable):
        evidence.request(paths)
    paths[0].write_bytes(b"noise")
    assert evidence.request(paths) is None
    _after_searches(evidence)
    answer = evidence.request(paths)
    assert answer is not None
    assert answer[0] == NOT_SEEN
    evidence.close()
