"""Upgrade of an empty database, repeated and concurrent upgrades, and the revision that a program expects."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from db import counters
from db.deliveries.delivery_leases import claim_deliveries
from db.engine import Database
from db.schema import FOLDER, VIEWS
from db.schema.revisions import current_revision, expected_revision
from db.schema.upgrade import _IDENTIFY, _config, upgrade_schema
from deploy.local.database.database_roles import ADMIN
from tests.support.node_process import wait_until
from tests.support.records import deliver_all, report_study, rows, scalar
from tests.support.services import as_role, as_superuser, fresh_database

CATALOGUE = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 ORDER BY 1, 2
"""


@pytest.fixture
def empty_url(postgres_url: str) -> Iterator[str]:
    """URL of a database without schema."""
    with fresh_database(postgres_url, "template0") as url:
        yield as_role(url, ADMIN)


def test_an_empty_database_has_no_revision_and_gets_the_expected_one(empty_url: str) -> None:
    database = Database.open(empty_url)
    assert current_revision(database) is None
    upgrade_schema(database)
    assert current_revision(database) == expected_revision()
    assert {name for (name,) in rows(database, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")} == set(VIEWS)
    database.dispose()


def test_a_second_upgrade_changes_nothing(database: Database) -> None:
    installation, catalogue = database.installation(), rows(database, CATALOGUE)
    upgrade_schema(database)
    upgrade_schema(database)
    again = Database.open(database.engine.url.render_as_string(hide_password=False))
    assert again.installation() == installation
    assert rows(again, CATALOGUE) == catalogue
    assert current_revision(again) == expected_revision()
    again.dispose()


def test_roles_that_start_at_the_same_time_upgrade_once(empty_url: str) -> None:
    roles = [Database.open(empty_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(upgrade_schema, roles))
    assert len({role.installation() for role in roles}) == 1
    assert current_revision(roles[0]) == expected_revision()
    for role in roles:
        role.dispose()


def test_an_upgrade_replaces_older_views(database: Database) -> None:
    with as_superuser(database) as admin:
        with admin.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
            connection.execute(text("CREATE VIEW v_jobs AS SELECT 1 AS old"))
        upgrade_schema(admin, ("dicom_node", "tests"))
    assert current_revision(database) == expected_revision()
    assert rows(database, "SELECT job_id FROM v_jobs") == []


def test_the_expected_revision_is_the_head_of_the_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == expected_revision()


def _upgrade_to(database: Database, revision: str) -> None:
    with database.begin() as connection:
        command.upgrade(_config(connection), revision)
        connection.execute(_IDENTIFY)


def _counted(database: Database, name: str) -> dict[counters.Labels, float]:
    with database.begin() as connection:
        return dict(counters.read(connection).get(name, {}))


def test_attempts_that_were_counted_under_the_former_name_are_counted_under_the_new_one(empty_url: str) -> None:
    """Revision 0031. A console of the version before, which runs until it is replaced, still finds what it had counted."""
    with Database.open(empty_url) as database:
        _upgrade_to(database, "0030")
        for stored in (5, 2):  # added to the sums, and not yet
            counters.fold_changes(database)
            with database.begin() as connection:
                counters.add(connection, [("sendings", ("pacs", "stored"), stored), ("sendings", ("pacs", "retry"), 1)])
        upgrade_schema(database)
        former = {("pacs", "stored"): 7.0, ("pacs", "retry"): 2.0}
        assert _counted(database, "delivery_attempts") == former
        report_study(database)
        deliver_all(database)
        assert _counted(database, "delivery_attempts") == former | {("pacs", "stored"): 8.0}
        assert _counted(database, "sendings") == former


def test_an_attempt_that_ends_during_the_upgrade_is_counted(empty_url: str) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'delivery_attempts'::regclass AND NOT granted"
    with Database.open(empty_url) as database, ThreadPoolExecutor(1) as pool:
        _upgrade_to(database, "0030")
        report_study(database)
        claim_deliveries(database, sender="s1", lease_s=60, limit=1)
        with database.begin() as connection:
            connection.execute(text("UPDATE delivery_attempts SET result = 'stored'"))
            upgraded = pool.submit(upgrade_schema, database)
            wait_until("the upgrade to wait for the end of the attempt", lambda: scalar(database, waiting) == 1, every_s=0.05)
        upgraded.result()
        assert _counted(database, "delivery_attempts") == {("pacs", "stored"): 1.0}
