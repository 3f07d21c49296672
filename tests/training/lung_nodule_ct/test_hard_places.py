"""The places that a detector takes for nodules although no reader marked them."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.two_stages import TwoStageDetector
from tests.support.lung_like import TUMOUR, VOLUMES, write_lung_folder
from training.lung_nodule_ct.real import backgrounds as real_backgrounds
from training.lung_nodule_ct.real.backgrounds import read_backgrounds
from training.lung_nodule_ct.real.hard_places import find_hard_places

WRONG, LESS_WRONG = (8.0, 40.0, 36.3), (12.0, 38.0, 34.0)


class KnownRegions:
    """Finds the same three regions in every volume: a marked tumour and two places in the lung."""

    calls = 0

    def heat(self, *_: object) -> object:
        return object()

    def scored_regions(self, *_: object) -> list[tuple[NoduleCandidate, float]]:
        self.calls += 1
        inside = np.ones((2, 2, 2), np.bool_)
        return [
            (NoduleCandidate(centre, centre, 0.5, 8.0, 2.5, 2.0, 2.0, (0, 0, 0), inside), second)
            for centre, second in ((LESS_WRONG, 0.2), (TUMOUR, 0.9), (WRONG, 0.8))
        ]


def test_marks_are_no_hard_places_and_the_worst_mistake_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_backgrounds, "series_folders", lambda _: [])
    marked = [one for one in read_backgrounds(write_lung_folder(tmp_path / "data"), 0) if one.name == VOLUMES[1]]
    detector = KnownRegions()
    found = find_hard_places(cast(TwoStageDetector, detector), marked, {}, tmp_path, seed=0, progress=lambda _: None)
    assert found == {VOLUMES[1]: (WRONG, LESS_WRONG)}
    assert find_hard_places(cast(TwoStageDetector, detector), marked, {}, tmp_path, seed=0, progress=pytest.fail) == found
    assert detector.calls == 1
