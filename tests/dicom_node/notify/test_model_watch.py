"""Stop rules: an alert begins when a limit is exceeded with enough verdicts, and the version becomes a shadow where configured."""

import threading
from pathlib import Path
from typing import Any

import pytest

from core.errors import StorageError
from core.policy.drift import index_by_chance, stability_index
from core.settings.settings import Settings
from core.states import ModelOrigin
from db.engine import Database
from db.operations import alerts, model_registry
from dicom_node.conduct.model_versions import served_versions
from dicom_node.notify import model_watch
from dicom_node.notify.alert_monitor import AlertMonitor
from models import registry
from models.card import identity
from tests.support.records import report_study, run, scalar

EXPECTED, MOVED = [100, 80, 20, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 20, 80, 100]  # units by score
NAME = "lung_nodule_ct"
DIGEST = registry.pipeline_digest(NAME)


@pytest.fixture
def judged(database: Database) -> None:
    """The active version with four judged findings, one of them accepted."""
    model_registry.activate_model(database, identity(registry.card(NAME), DIGEST), origin=ModelOrigin.PACKAGE, actor="test")
    report_study(database, findings=4)
    run(database, f"UPDATE jobs SET pipeline_digest = '{DIGEST}'")
    run(
        database,
        "INSERT INTO verdicts (job_id, finding_id, verdict, reason, user_name, seen_revision, seen_at) SELECT job_id, id, "
        "CASE WHEN ordinal = 1 THEN 'accepted' ELSE 'rejected' END, CASE WHEN ordinal = 1 THEN '' ELSE 'artifact' END, 'ann', 1, now() "
        "FROM findings",
    )


def _check(database: Database, tmp_path: Path, *more: dict[str, Any], **rule: Any) -> list[tuple[str, str]]:
    """Check once with a rule, and ``more`` rules for the same model; return the alerts."""
    rules = [{"model": NAME, **one} for one in (rule, *more)]
    document = {"node": {"data_dir": tmp_path}, "webhook": {"disk_low_bytes": 0}, "models": {"watch": rules}}
    AlertMonitor(Settings.model_validate(document), database, threading.Event()).check()
    return [(alert.kind, alert.subject) for alert in alerts.current_alerts(database)]


def _count(database: Database, weeks_ago: int, bins: list[int]) -> None:
    """Add the scores of one week."""
    run(
        database,
        "INSERT INTO model_statistics (week, pipeline_digest, scanner, quantity, model, model_version, bins) VALUES "
        f"(date_trunc('week', node_now())::date - 7 * {weeks_ago}, '{DIGEST}', 'ACME', 'score', '{NAME}', '0.2.0', ARRAY{bins}::bigint[])",
    )


def _state(database: Database) -> object:
    return scalar(database, f"SELECT state FROM models WHERE digest = '{DIGEST}'")


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
    for weeks_ago, bins in ((8, EXPECTED), (7, EXPECTED), (6, EXPECTED), (5, EXPECTED), (1, MOVED)):
        _count(database, weeks_ago, bins)
    assert _check(database, tmp_path, max_drift=0.25, min_n=500) == []
    assert _check(database, tmp_path, max_drift=0.25, min_n=100) == [("model.drift", NAME)]


def test_drift_of_earlier_weeks_does_not_count(database: Database, judged: None, tmp_path: Path) -> None:
    """A model that was not used since then has no drift of the last two weeks."""
    for weeks_ago, bins in ((9, EXPECTED), (8, EXPECTED), (7, EXPECTED), (6, EXPECTED), (2, MOVED)):
        _count(database, weeks_ago, bins)
    assert _check(database, tmp_path, max_drift=0.25, min_n=100) == []
    _count(database, 1, MOVED)
    assert _check(database, tmp_path, max_drift=0.25, min_n=100) == [("model.drift", NAME)]


def test_a_difference_that_few_units_have_by_chance_is_no_drift(database: Database, judged: None, tmp_path: Path) -> None:
    for weeks_ago in (7, 6, 5, 4):
        _count(database, weeks_ago, [50] * 10)
    few = [11, 1, 8, 2, 5, 9, 3, 4, 4, 3]
    _count(database, 1, few)  # 50 of the same scores: one such sample of five is as uneven
    assert 0.25 < (stability_index([200] * 10, few) or 0.0) < 0.25 + index_by_chance([200] * 10, few)
    assert _check(database, tmp_path, max_drift=0.25, demote=True) == []
    assert _state(database) == "active"
    _count(database, 0, [250, 10, 160, 20, 10, 180, 60, 80, 10, 60])
    assert _check(database, tmp_path, max_drift=0.25) == [("model.drift", NAME)], "of many units it is"


def test_only_a_rule_that_is_broken_demotes(database: Database, judged: None, tmp_path: Path) -> None:
    """One rule warns early, another one demotes late: also where the alert is open by then."""
    warn, stop = {"min_acceptance": 0.5, "min_n": 4}, {"min_acceptance": 0.2, "min_n": 4, "demote": True}
    assert _check(database, tmp_path, stop, **warn) == [("model.acceptance", NAME)]
    assert _state(database) == "active", "a quarter is accepted: that is above the limit of the rule that demotes"
    _check(database, tmp_path, {**stop, "min_acceptance": 0.3}, **warn)
    assert _state(database) == "shadow"


def test_a_demotion_that_failed_is_made_up_for(database: Database, judged: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database may go away between the begin of the alert and the demotion."""
    rule = {"min_acceptance": 0.5, "min_n": 4, "demote": True}

    def fail(*_: object, **__: object) -> str:
        raise StorageError("the database does not respond")

    with monkeypatch.context() as patched:
        patched.setattr(model_watch, "demote_model", fail)
        with pytest.raises(StorageError):
            _check(database, tmp_path, **rule)
    assert _state(database) == "active"
    _check(database, tmp_path, **rule)
    assert _state(database) == "shadow"


def test_a_rule_without_a_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="min_acceptance, max_drift or both"):
        Settings.model_validate({"models": {"watch": [{"model": NAME}]}})
