"""The registry: one active digest of a name, every change audited, shadows never reported."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from core.errors import ConfigurationError, ModelError
from core.records import ModelIdentity
from core.states import ModelOrigin, ModelState
from db import audit
from db.deliveries.delivery_admin import list_deliveries
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_admin import list_jobs, show_job
from db.operations import model_registry, results_export
from tests.support.records import (
    Sender,
    claim,
    complete,
    finish,
    identity,
    plan,
    prediction,
    run,
    scalar,
    timings,
)  # fmt: skip

OLD, NEW, THIRD = identity(), identity("e" * 64), identity("f" * 64)
NAME = OLD.name


def states(database: Database) -> dict[str, str]:
    return {one.digest[0]: one.state.value for one in model_registry.registered_models(database, NAME)}


def activate(database: Database, who: ModelIdentity, origin: ModelOrigin = ModelOrigin.INSTALLED) -> bool:
    return model_registry.activate_model(database, who, origin=origin, actor="admin")


def acts(database: Database) -> list[tuple[str, str, str | None]]:
    """(action, digest, digest before) of everything that was done to models."""
    events = [event for event in audit.export(database) if event["action"].startswith("model.")]
    return [(event["action"], event["details"]["digest"][0], (event["details"].get("before") or " ")[0]) for event in events]


def test_activation_leaves_one_active_and_the_one_before_standing_by(database: Database) -> None:
    assert model_registry.register_model(database, OLD) is ModelState.ACTIVE
    assert activate(database, NEW)
    assert not activate(database, NEW)
    assert states(database) == {"d": "standby", "e": "active"}
    assert acts(database) == [("model.registered", "d", " "), ("model.activated", "e", "d")]


def test_rollback_goes_back_and_a_second_one_forth(database: Database) -> None:
    model_registry.register_model(database, OLD)
    activate(database, NEW)
    here = {OLD.digest, NEW.digest}
    assert model_registry.rollback_model(database, NAME, available=here, actor="admin") == OLD.digest
    assert states(database) == {"d": "active", "e": "standby"}
    assert model_registry.rollback_model(database, NAME, available=here, actor="admin") == NEW.digest
    assert acts(database)[-2:] == [("model.rolled_back", "d", "e"), ("model.rolled_back", "e", "d")]


def test_rollback_needs_something_to_go_back_to(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="no version of lung_nodule_ct was active before"):
        model_registry.rollback_model(database, NAME, available=(), actor="admin")
    model_registry.register_model(database, OLD)
    model_registry.register_model(database, NEW, available={OLD.digest, NEW.digest})  # stands by, was never active
    with pytest.raises(ConfigurationError, match="was active before"):
        model_registry.rollback_model(database, NAME, available={NEW.digest}, actor="admin")
    activate(database, NEW)
    with pytest.raises(ConfigurationError, match="is not installed any more"):
        model_registry.rollback_model(database, NAME, available={NEW.digest}, actor="admin")
    model_registry.shadow_or_retire(database, OLD, ModelState.RETIRED, origin=ModelOrigin.PACKAGE, actor="admin")
    with pytest.raises(ConfigurationError, match="was active before"):
        model_registry.rollback_model(database, NAME, available={OLD.digest, NEW.digest}, actor="admin")
    assert states(database) == {"d": "retired", "e": "active"}


def test_a_worker_never_displaces_what_a_person_chose(database: Database) -> None:
    activate(database, NEW)
    assert (
        model_registry.register_model(database, OLD, available={OLD.digest}) is ModelState.STANDBY
    )  # NEW's folder is gone, or not mounted there
    assert states(database) == {"d": "standby", "e": "active"}


def test_a_new_release_takes_the_place_of_the_old_one_and_says_so(database: Database) -> None:
    model_registry.register_model(database, OLD)
    assert model_registry.register_model(database, NEW, available={NEW.digest}) is ModelState.ACTIVE
    assert states(database) == {"d": "standby", "e": "active"}
    assert acts(database)[-1] == ("model.registered", "e", "d")


def test_nothing_becomes_active_by_itself_after_a_retirement(database: Database) -> None:
    model_registry.register_model(database, OLD)
    model_registry.shadow_or_retire(database, OLD, ModelState.RETIRED, origin=ModelOrigin.PACKAGE, actor="admin")
    assert model_registry.register_model(database, NEW, available={NEW.digest}) is ModelState.STANDBY
    assert states(database) == {"d": "retired", "e": "standby"}


def test_the_active_one_cannot_be_a_shadow(database: Database) -> None:
    model_registry.register_model(database, OLD)
    with pytest.raises(ConfigurationError, match="is active"):
        model_registry.shadow_or_retire(database, OLD, ModelState.SHADOW, origin=ModelOrigin.PACKAGE, actor="admin")
    assert model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    assert not model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    assert states(database) == {"d": "active", "e": "shadow"}


def test_the_database_itself_refuses_a_second_active_one(database: Database) -> None:
    model_registry.register_model(database, OLD)
    model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    with pytest.raises(IntegrityError):
        run(database, "UPDATE models SET state = 'active'")


def test_many_at_once_leave_one_active(database: Database) -> None:
    who = [identity(letter * 64) for letter in "0123456789"]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda one: activate(database, one), who))
    assert sorted(states(database).values()) == ["active"] + ["standby"] * 9
    assert len(acts(database)) == 10


def shadow_plan(digest: str = NEW.digest) -> object:
    return replace(plan(digest=digest, destinations=()), shadow=True)


def test_a_shadow_is_stored_and_compared_and_never_reported(database: Database) -> None:
    model_registry.register_model(database, OLD)
    model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    Sender(database).send(1)
    made = complete(database, plan(), shadow_plan())  # type: ignore[arg-type]
    assert made is not None
    first = claim(database)
    assert (first.id, first.shadow) == (made[0], False)  # what is reported comes first
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
    (row,) = model_registry.compare_shadows(database, NAME)
    assert (row["units"], row["same_outcome"], row["same_first_finding"], row["differing_jobs"]) == (1, 0, 0, [second.id])


def test_a_job_to_be_reported_ends_where_its_model_became_a_shadow(database: Database) -> None:
    model_registry.register_model(database, OLD)
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    activate(database, NEW)
    model_registry.shadow_or_retire(database, OLD, ModelState.SHADOW, origin=ModelOrigin.PACKAGE, actor="admin")
    with pytest.raises(ModelError, match="became a shadow"):
        finish(database, job)


def test_a_job_of_the_model_before_still_ends(database: Database) -> None:
    model_registry.register_model(database, OLD)
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    activate(database, NEW)
    finish(database, job)
    assert list_jobs(database)[0]["job_state"] == "reported"


def test_a_late_instance_supersedes_each_by_its_own(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    first = complete(database, plan(), shadow_plan())  # type: ignore[arg-type]
    sender.send(2)
    second = complete(database, plan(), shadow_plan())  # type: ignore[arg-type]
    assert first is not None
    assert second is not None
    superseded = {row["job_id"]: row["superseded_by"] for row in list_jobs(database, state="superseded")}
    assert superseded == dict(zip(first, second, strict=True))


def test_a_shadow_that_became_active_answers_again_and_reports(database: Database) -> None:
    """The shadow's job does not count as the same work: nothing of it was ever reported."""
    sender = Sender(database)
    sender.send(1)
    (before,) = complete(database, shadow_plan()) or ()  # type: ignore[arg-type]
    shadow = claim(database)
    commit_result(database, shadow, prediction=prediction(), identity=NEW, objects=(), timings=timings())
    run(database, "UPDATE units SET state = 'open', revision = revision + 1")  # the same contents, looked at again
    (after,) = complete(database, plan(digest=NEW.digest)) or ()
    assert after != before
    assert claim(database).run == 2


def test_another_actor_cannot_write_the_past(database: Database) -> None:
    """The acts are in the chain like everything else."""
    model_registry.register_model(database, OLD)
    activate(database, THIRD)
    audit.chain(database)
    assert audit.verify(database).broken is None
    run(database, "ALTER TABLE audit_events DISABLE TRIGGER ALL")
    run(database, "UPDATE audit_events SET actor = 'somebody' WHERE action = 'model.activated'")
    assert audit.verify(database).broken is not None
