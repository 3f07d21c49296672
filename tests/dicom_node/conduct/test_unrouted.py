"""Units that no route claimed are kept and listed, and can be matched again after the route is fixed."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings.operations import WebhookSection
from core.settings.settings import Settings
from db import audit
from db.complete import unrouted as complete_unrouted
from db.engine import Database
from deploy.cli.main import run
from dicom_node.notify.alert_monitor import SERIES_UNROUTED, find_conditions
from tests.dicom_node.conduct.test_conductor import CHEST, SKIN, complete_units
from tests.dicom_node.conftest import Running, conducting
from tests.support import node_toml
from tests.support.records import rows
from tests.support.send_role import wait_for
from tests.support.series import series
from tests.support.storage_scu import send


@pytest.fixture
def fixed(tmp_path: Path, database_url: str) -> Path:
    config = tmp_path / "node.toml"
    parts = (
        node_toml.source("PACS"),
        node_toml.pacs(4242, accept_research=False),
        node_toml.chest_route("dermoscopy_7class", name="chest"),
    )
    config.write_text(f'[node]\ndata_dir = "{tmp_path / "data"}"\n[database]\nurl = "{database_url}"\n{"".join(parts)}')
    return config


def unrouted(config: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["rules", "unrouted", "--now", "--config", str(config), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_a_unit_without_a_route_is_analysed_once_the_route_is_fixed(conduct: Any, fixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node: Running
    with conduct(SKIN) as node:
        send(node.port, *series(4))
        complete_units(node, 1)
    assert rows(node.database, "SELECT count(*) FROM jobs") == [(0,)]
    (row,) = unrouted(fixed, capsys)
    assert row["now"] == "selected by chest"
    assert "route 'skin'" in row["reason"]
    unit = str(row["unit_id"])
    assert run(["rules", "requeue", unit, "--config", str(fixed)]) == 0
    with conducting(_with(node.settings, CHEST), node.database, node.blobs):
        wait_for(lambda: rows(node.database, "SELECT state FROM jobs") == [("queued",)])
    ((claimed, outcome, revision),) = rows(node.database, "SELECT routes, outcome, revision FROM units")
    assert (claimed, outcome, revision) == (["chest"], None, 1)
    asked = [event for event in audit.export(node.database) if event["action"] == "unit.requeued"]
    assert [event["subject"] for event in asked] == [f"unit:{unit}"]
    assert asked[0]["actor"].startswith("cli:")
    assert unrouted(fixed, capsys) == []
    assert run(["rules", "requeue", unit, "--config", str(fixed)]) == 1  # it has a job
    assert "was taken by a route" in capsys.readouterr().err
    assert rows(node.database, "SELECT count(*) FROM jobs") == [(1,)]


def test_a_unit_that_still_no_route_claims_keeps_its_reason(conduct: Any) -> None:
    node: Running
    with conduct(SKIN) as node:
        send(node.port, *series(2))
        ((_, before, *_),) = complete_units(node, 1)
        assert complete_unrouted.reopen_unrouted(node.database, [1], "cli:test") == [1]
        ((_, reason, _, _, outcome, revision),) = complete_units(node, 1)
    assert (reason, outcome, revision) == (before, "not_analysed", 1)


def test_the_reason_why_a_unit_cannot_be_matched_again(conduct: Any, fixed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node: Running
    with conduct(SKIN) as node:
        send(node.port, *series(2))
        complete_units(node, 1)
    _change(node.database, "UPDATE instances SET removed_at = now()")
    assert [row["now"] for row in unrouted(fixed, capsys)] == ["cannot be routed: retention has deleted its images"]
    assert run(["rules", "requeue", "1", "99", "--config", str(fixed)]) == 1
    said = capsys.readouterr().err
    assert "retention has removed images of unit 1: send them again" in said
    assert "there is no unit 99" in said
    _change(node.database, "UPDATE units SET state = 'open'")
    assert complete_unrouted.reopen_unrouted(node.database, [1], "cli:test") == []
    assert complete_unrouted.reopen_refusals(node.database, [1], []) == ["unit 1 is not complete yet: it will be routed"]


def _with(settings: Settings, route: dict[str, Any]) -> Settings:
    return Settings.model_validate({**settings.model_dump(), "routes": [route]})


def _change(database: Database, statement: str) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql(statement)


def test_an_alert_names_the_source_while_no_route_takes_any_of_its_series(conduct: Any) -> None:
    with conduct(SKIN, webhook={"unrouted_series": 2}) as node:
        send(node.port, *series(3))
        complete_units(node, 1)
        assert find_conditions(node.settings, node.database).get((SERIES_UNROUTED, "PACS")) is None
        send(node.port, *series(3, study=2))
        complete_units(node, 2)
        assert find_conditions(node.settings, node.database)[SERIES_UNROUTED, "PACS"] == {"count": 2}
        off = _with(node.settings, SKIN).model_copy(update={"webhook": WebhookSection(unrouted_series=0)})
        assert (SERIES_UNROUTED, "PACS") not in find_conditions(off, node.database)
        settings = _with(node.settings, CHEST)
    with conducting(settings, node.database, node.blobs):
        assert complete_unrouted.reopen_unrouted(node.database, [1], "cli:test") == [1]
        wait_for(lambda: rows(node.database, "SELECT count(*) FROM jobs") == [(1,)])
    assert (SERIES_UNROUTED, "PACS") not in find_conditions(settings, node.database)
