"""``patients erase``, interrupted while it removes files: the next run removes the rest."""

from pathlib import Path

import pytest

from db.blobs.store import Blobs
from db.engine import Database
from tests.support.erasures import assert_nothing_is_left, erase, store_erna

pytestmark = pytest.mark.services


def test_killed_while_files_are_removed(database: Database, blobs: Blobs, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, remove = store_erna(database, blobs, 701), Blobs.remove
    removed: list[str] = []

    def killed(self: Blobs, sha256: str) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(sha256)
        remove(self, sha256)

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, "remove", killed)
        assert erase(config) == 130  # as after Ctrl-C
    assert study.kept(blobs) != (0, False)
    assert erase(config) == 0
    assert_nothing_is_left(database, blobs, study)
