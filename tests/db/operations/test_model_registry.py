"""The model registry: one active pipeline of a name, every change audited, shadows never reported."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from core.errors import ConfigurationError, ModelError
from core.records import ModelIdentity
from core.states import ModelOrigin, ModelState
from db import audit
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_admin import show_job
from db.listings.deliveries import list_deliveries
from db.listings.jobs import list_jobs
from db.operations import model_registry, results_export
from db.operations.shadow_comparison import compare_shadows
from tests.support.records import (
    Sender,
    claim,
    complete,
    finish,
    identity,
    plan,
    prediction,
    report_study,
    run,
    scalar,
    timings,
)  # fmt: skip
from tests.support.services import as_superuser

OLD, NEW, THIRD = identity(), identity("e" * 64), identity("f" * 64)
NAME = OLD.name


def states(database: Database) -> dict[str, str]:
    return {model.digest[0]: model.state.value for model in model_registry.registered_models(database, NAME)}


def activate(database: Database, model: ModelIdentity, origin: ModelOrigin = ModelOrigin.INSTALLED) -> bool:
    return model_registry.activate_model(database, model, origin=origin, actor="admin")


def changes(database: Database) -> list[tuple[str, str, str | None]]:
    """(action, digest, digest before) of every change of the registry, by its first letter."""
    events = [event for event in audit.export(database) if event["action"].startswith("model.")]
    return [(event["action"], event["details"]["digest"][0], (event["details"].get("before") or " ")[0]) for event in events]


def test_activation_puts_the_one_before_on_standby(database: Database) -> None:
    assert model_registry.register_model(database, OLD) is ModelState.ACTIVE
    assert activate(database, NEW)
    assert not activate(database, NEW)
    assert states(database) == {"d": "standby", "e": "active"}
    assert changes(database) == [("model.registered", "d", " "), ("model.activated", "e", "d")]


def test_a_second_rollback_undoes_the_first(database: Database) -> None:
    model_registry.register_model(database, OLD)
    activate(database, NEW)
    available = {OLD.digest, NEW.digest}
    assert model_registry.rollback_model(database, NAME, available=available, actor="admin") == OLD.digest
    assert states(database) == {"d": "active", "e": "standby"}
    assert model_registry.rollback_model(database, NAME, available=available, actor="admin") == NEW.digest
    assert changes(database)[-2:] == [("model.rolled_back", "d", "e"), ("model.rolled_back", "e", "d")]


def test_rollback_needs_a_version_that_was_active(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="no version of lung_nodule_ct was active before"):
        model_registry.rollback_model(database, NAME, available=(), actor="admin")
    model_registry.register_model(database, OLD)
    model_registry.register_model(database, NEW, available={OLD.digest, NEW.digest})  # on standby, was never active
    with pytest.raises(ConfigurationError, match="was active before"):
        model_registry.rollback_model(database, NAME, available={NEW.digest}, actor="admin")
    activate(database, NEW)
    with pytest.raises(ConfigurationError, match="is not installed any more"):
        model_registry.rollback_model(database, NAME, available={NEW.digest}, actor="admin")
    model_registry.shadow_or_retire(database, OLD, ModelState.RETIRED, origin=ModelOrigin.PACKAGE, actor="admin")
    with pytest.raises(ConfigurationError, match="was active before"):
        model_registry.rollback_model(database, NAME, available={OLD.digest, NEW.digest}, actor="admin")
    assert states(database) == {"d": "retired", "e": "active"}


def test_a_worker_does_not_replace_what_a_person_activated(database: Database) -> None:
    activate(database, NEW)
    assert (
        model_registry.register_model(database, OLD, available={OLD.digest}) is ModelState.STANDBY
    )  # the folder of NEW is not mounted there
    assert states(database) == {"d": "standby", "e": "active"}


def test_a_new_release_replaces_the_old_one_and_is_audited(database: Database) -> None:
    model_registry.register_model(database, OLD)
    assert model_registry.register_model(database, NEW, available={NEW.digest}) is ModelState.ACTIVE
    assert states(database) == {"d": "standby", "e": "active"}
    assert changes(database)[-1] == ("model.registered", "e", "d")


def test_no_pipeline_becomes_active_after_a_retirement(database: Database) -> None:
    model_registry.register_model(database, OLD)
    model_registry.shadow_or_retire(database, OLD, ModelState.RETIRED, origin=ModelOrigin.PACKAGE, actor="admin")
    assert model_registry.register_model(database, NEW, available={NEW.digest}) is ModelState.STANDBY
    assert states(database) == {"d": "retired", "e": "standby"}


def test_the_active_pipeline_cannot_become_a_shadow(database: Database) -> None:
    model_registry.register_model(database, OLD)
    with pytest.raises(ConfigurationError, match="is active"):
        model_registry.shadow_or_retire(database, OLD, ModelState.SHADOW, origin=ModelOrigin.PACKAGE, actor="admin")
    assert model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    assert not model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    assert states(database) == {"d": "active", "e": "shadow"}


def test_the_database_refuses_a_second_active_pipeline(database: Database) -> None:
    model_registry.register_model(database, OLD)
    model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    with pytest.raises(IntegrityError):
        run(database, "UPDATE models SET state = 'active'")


def test_concurrent_activations_leave_one_active(database: Database) -> None:
    models = [identity(letter * 64) for letter in "0123456789"]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda model: activate(database, model), models))
    assert sorted(states(database).values()) == ["active"] + ["standby"] * 9
    assert len(changes(database)) == 10


def shadow_plan(digest: str = NEW.digest) -> object:
    return replace(plan(digest=digest, destinations=()), shadow=True)


def test_the_result_of_a_shadow_is_stored_and_compared_but_not_reported(database: Database) -> None:
    model_registry.register_model(database, OLD)
    model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    Sender(database).send(1)
    made = complete(database, plan(), shadow_plan())  # type: ignore[arg-type]
    assert made is not None
    first = claim(database)
    assert (first.id, first.shadow) == (made[0], False)  # jobs that are reported come first
    finish(database, first)
    second = claim(database)
    assert (second.id, second.shadow, second.destinations) == (made[1], True, ())
    with pytest.raises(ValueError, match="makes no objects"):
        commit_result(database, second, prediction=prediction(), identity=NEW, objects=(object(),), timings=timings())  # type: ignore[arg-type]
    commit_result(database, second, prediction=prediction(0), identity=NEW, objects=(), timings=timings())
    assert show_job(database, second.id)["job_state"] == "delivered"
    assert scalar(database, f"SELECT count(*) FROM reports WHERE job_id = {second.id}") == 0
    assert {row["job_id"] for row in list_deliveries(database)} == {first.id}
    assert {row["job_id"] for row in results_export.export_findings(database)} == {first.id}
    (row,) = compare_shadows(database, NAME)
    assert (row["units"], row["same_outcome"], row["same_first_finding"], row["differing_jobs"]) == (1, 0, 0, [second.id])


def test_the_result_of_a_model_that_became_a_shadow_is_refused(database: Database) -> None:
    model_registry.register_model(database, OLD)
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    activate(database, NEW)
    model_registry.shadow_or_retire(database, OLD, ModelState.SHADOW, origin=ModelOrigin.PACKAGE, actor="admin")
    with pytest.raises(ModelError, match="became a shadow"):
        finish(database, job)


def test_a_job_of_the_previous_model_still_finishes(database: Database) -> None:
    model_registry.register_model(database, OLD)
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    activate(database, NEW)
    finish(database, job)
    assert list_jobs(database)[0]["job_state"] == "reported"


def test_a_late_instance_supersedes_the_job_and_the_shadow_job(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    first = complete(database, plan(), shadow_plan())  # type: ignore[arg-type]
    sender.send(2)
    second = complete(database, plan(), shadow_plan())  # type: ignore[arg-type]
    assert first is not None
    assert second is not None
    superseded = {row["job_id"]: row["superseded_by"] for row in list_jobs(database, state="superseded")}
    assert superseded == dict(zip(first, second, strict=True))


def test_a_shadow_that_became_active_runs_again_and_reports(database: Database) -> None:
    """The shadow's job does not count as the same analysis, because it was not reported."""
    sender = Sender(database)
    sender.send(1)
    (before,) = complete(database, shadow_plan()) or ()  # type: ignore[arg-type]
    shadow = claim(database)
    commit_result(database, shadow, prediction=prediction(), identity=NEW, objects=(), timings=timings())
    run(database, "UPDATE units SET state = 'open', revision = revision + 1")  # the same contents, completed again
    (after,) = complete(database, plan(digest=NEW.digest)) or ()
    assert after != before
    assert claim(database).run == 2


def test_changes_of_the_registry_are_chained(database: Database) -> None:
    """A changed actor breaks the audit chain."""
    model_registry.register_model(database, OLD)
    activate(database, THIRD)
    audit.chain(database)
    assert audit.verify(database).broken is None
    with as_superuser(database) as owner:
        run(owner, "ALTER TABLE audit_events DISABLE TRIGGER ALL")
        run(owner, "UPDATE audit_events SET actor = 'somebody' WHERE action = 'model.activated'")
    assert audit.verify(database).broken is not None


def test_a_model_is_registered_once(database: Database) -> None:
    model_registry.register_model(database, identity())
    model_registry.register_model(database, identity())
    (known,) = model_registry.list_models(database)
    assert (known["name"], known["state"]) == ("lung_nodule_ct", "active")


def test_an_active_model_reports(database: Database) -> None:
    model_registry.register_model(database, identity())
    report_study(database)
    assert list_jobs(database)[0]["job_state"] == "reported"
