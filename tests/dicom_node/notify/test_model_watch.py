"""Stop rules: an alert begins when a limit is exceeded with enough verdicts, and the version becomes a shadow where configured."""

import threading
from pathlib import Path
from typing import Any

import pytest

from core.settings.settings import Settings
from core.states import ModelOrigin
from db.engine import Database
from db.operations import alerts, model_registry
from dicom_node.conduct.model_versions import served_versions
from dicom_node.notify.alert_monitor import AlertMonitor
from models import registry
from models.card import identity
from tests.support.records import Sender, claim, complete, finish, plan, run, scalar

NAME = "lung_nodule_ct"
DIGEST = registry.pipeline_digest(NAME)


@pytest.fixture
def judged(database: Database) -> None:
    """The active version with four judged findings, one of them accepted."""
    model_registry.activate_model(database, identity(registry.card(NAME), DIGEST), origin=ModelOrigin.PACKAGE, actor="test")
    Sender(database).send(1)
    complete(database, plan())
    finish(database, claim(database), findings=4)
    run(database, f"UPDATE jobs SET pipeline_digest = '{DIGEST}'")
    run(
        database,
        "INSERT INTO verdicts (job_id, finding_id, verdict, reason, user_name, seen_revision, seen_at) SELECT job_id, id, "
        "CASE WHEN ordinal = 1 THEN 'accepted' ELSE 'rejected' END, CASE WHEN ordinal = 1 THEN '' ELSE 'artifact' END, 'ann', 1, now() "
        "FROM findings",
    )


def _check(database: Database, tmp_path: Path, **rule: Any) -> list[tuple[str, str]]:
    document = {"node": {"data_dir": tmp_path}, "webhook": {"disk_low_bytes": 0}, "models": {"watch": [{"model": NAME, **rule}]}}
    AlertMonitor(Settings.model_validate(document), database, threading.Event()).check()
    return [(alert.kind, alert.subject) for alert in alerts.current_alerts(database)]


def test_the_alert_needs_enough_verdicts_and_a_share_below_the_limit(database: Database, judged: None, tmp_path: Path) -> None:
    assert _check(database, tmp_path, min_acceptance=0.5, min_n=5) == []
    assert _check(database, tmp_path, min_acceptance=0.2, min_n=4) == []
    assert _check(database, tmp_path, min_acceptance=0.5, min_n=4) == [("model.acceptance", NAME)]
    assert scalar(database, "SELECT details ->> 'n' FROM audit_events WHERE action = 'model.acceptance.began'") == "4"
    assert scalar(database, f"SELECT state FROM models WHERE digest = '{DIGEST}'") == "active"
    assert _check(database, tmp_path, min_acceptance=0.2, min_n=4) == []


def test_a_demoted_version_goes_on_as_a_shadow_and_reports_nothing(database: Database, judged: None, tmp_path: Path) -> None:
    _check(database, tmp_path, min_acceptance=0.5, min_n=4, demote=True)
    assert scalar(database, f"SELECT state FROM models WHERE digest = '{DIGEST}'") == "shadow"
    assert (
        scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'model.demoted' AND details ->> 'reason' LIKE 'stop rule%'") == 1
    )
    served = served_versions(NAME, model_registry.registered_models(database, NAME), tmp_path)
    assert "no version of lung_nodule_ct is active" in served.problem
    assert [shadow.digest for shadow in served.shadows] == [DIGEST]
    assert served.serving.digest != DIGEST
    # A person who activates the version again is not overruled while the same alert lasts.
    model_registry.activate_model(database, identity(registry.card(NAME), DIGEST), origin=ModelOrigin.PACKAGE, actor="ann")
    assert _check(database, tmp_path, min_acceptance=0.5, min_n=4, demote=True) == [("model.acceptance", NAME)]
    assert scalar(database, f"SELECT state FROM models WHERE digest = '{DIGEST}'") == "active"


def test_drift_beyond_the_limit_raises_an_alert(database: Database, judged: None, tmp_path: Path) -> None:
    # The card has no reference: the first four weeks are the expected distribution.
    expected, moved = [100, 80, 20, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 20, 80, 100]
    for weeks_ago, bins in ((8, expected), (7, expected), (6, expected), (5, expected), (1, moved)):
        run(
            database,
            "INSERT INTO model_statistics (week, pipeline_digest, scanner, quantity, model, model_version, bins) VALUES "
            f"(date_trunc('week', node_now())::date - 7 * {weeks_ago}, "
            f"'{DIGEST}', 'ACME', 'score', '{NAME}', '0.2.0', ARRAY{bins}::bigint[])",
        )
    assert _check(database, tmp_path, max_drift=0.25, min_n=500) == []
    assert _check(database, tmp_path, max_drift=0.25, min_n=100) == [("model.drift", NAME)]


def test_a_rule_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="min_acceptance, max_drift or both"):
        Settings.model_validate({"models": {"watch": [{"model": NAME}]}})
