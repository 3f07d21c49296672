"""Users by the command line: a user whose second factor is lost signs in again."""

import pytest

from db import audit
from db.accounts.users import add_user, find_user, set_second_factor
from db.engine import Database
from deploy.cli.main import run


def test_a_lost_second_factor_is_removed(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database.engine.url.render_as_string(hide_password=False))
    id = add_user(database, name="anna", role="admin", password_hash="x", actor="test")
    set_second_factor(database, id, "JBSWY3DPEHPK3PXP", actor="test")
    assert run(["users", "remove-second-factor", "anna"]) == 0
    user = find_user(database, "anna")
    assert user is not None
    assert not user.has_second_factor
    last = list(audit.export(database))[-1]
    assert (last["action"], last["subject"]) == ("user.second_factor_removed", f"user:{id}")
    assert last["actor"].startswith("cli:")
    capsys.readouterr()
    assert run(["users", "remove-second-factor", "anna"]) == 2
    assert "anna has no second factor" in capsys.readouterr().err
    assert run(["users", "remove-second-factor", "bert"]) == 2
