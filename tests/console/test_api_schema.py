"""The API against its own description: schemathesis as each role, with valid and invalid requests; a fixed seed, few examples."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from console.auth.access import ACCESS, UserRole
from console.auth.scopes import Scope
from db.accounts.api_tokens import add_token
from db.accounts.users import find_user
from db.engine import Database
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, run
from tests.support.services import fresh_database

EXAMPLES = 3  # of each operation, mode and role


@pytest.fixture(scope="module")
def console(postgres_url: str, database_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    """A console on one reported study, with one user of each role."""
    with fresh_database(postgres_url, database_template) as url:
        database = Database.open(url)
        Sender(database).send(1)
        complete(database, plan())
        finish(database, claim(database))
        add_users(database)
        with RunningConsole(database, tmp_path_factory.mktemp("data")) as running:
            yield running.url, database
        database.dispose()


@pytest.mark.parametrize("role", list(UserRole))
def test_every_operation_answers_as_described(console: tuple[str, Database], role: UserRole) -> None:
    url, database = console
    user = find_user(database, role)
    assert user is not None
    token = add_token(database, user, name="schemathesis", scopes=list(Scope), days=1, actor="test")
    run(database, "UPDATE users SET role = name, disabled_at = NULL")
    document = httpx.get(f"{url}/api/v1/openapi.json", timeout=60).json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    tested = [operation for operation in operations if operation.path.startswith("/api/v1/")]
    assert len(tested) >= 24
    for operation in tested:
        refused = role not in ACCESS[operation.method.upper(), operation.path] and bool(ACCESS[operation.method.upper(), operation.path])
        for mode in GenerationMode.all():
            _check(operation, mode, url, token, 1 if refused else EXAMPLES)


def _check(operation: schemathesis.APIOperation, mode: GenerationMode, url: str, token: str, examples: int) -> None:
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except Exception:
        raise

    @seed(20261129)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def probe(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {token}"})

    probe()


_ = st
