"""The API against its own description: schemathesis as each role, with valid and invalid requests and a fixed seed.

There are few examples; DICOM_NODE_API_EXAMPLES=100 in the environment tries as many of each operation.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from console.auth.access import ACCESS, UserRole
from console.auth.scopes import Scope
from core.settings.settings import Settings
from db.accounts.api_tokens import add_token
from db.accounts.users import find_user
from db.engine import Database
from tests.support.command_roles import command_roles
from tests.support.console import RunningConsole, add_users
from tests.support.records import report_study, run

EXAMPLES = int(os.environ.get("DICOM_NODE_API_EXAMPLES", "1"))  # of each operation, mode and role
# What a JSON Schema cannot say is refused with 422: dates in the future, delimiters in names, bytes that are no image, a verdict of which
# a part is missing.
CHECKED_FURTHER = {"/api/v1/predict", "/api/v1/results/{job_id}/verdicts"}


@pytest.fixture(scope="module")
def console(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    """A console on one reported study, with one user of each role."""
    report_study(module_database)
    add_users(module_database)
    folder = tmp_path_factory.mktemp("data")
    pacs = {"name": "pacs", "folder": folder}
    settings = Settings.model_validate({"node": {"data_dir": folder}, "destinations": [pacs]})
    with command_roles(module_database, settings), RunningConsole(module_database, folder, destinations=[pacs]) as running:
        yield running.url, module_database


@dataclass(frozen=True, slots=True)
class ApiRequests:
    """Requests of one operation. Those of a mode are valid (positive) or invalid (negative)."""

    operation: schemathesis.APIOperation
    mode: GenerationMode
    cases: Sequence[schemathesis.Case]


@pytest.fixture(scope="module")
def requests(console: tuple[str, Database]) -> list[ApiRequests]:
    """The requests of every operation of the description, which the roles share: to generate them takes longer than to answer them.

    Invalid ones only where an operation has parameters or a body.
    """
    document = httpx.get(f"{console[0]}/api/v1/openapi.json", timeout=600).json()
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    tested = [operation for operation in operations if operation.path.startswith("/api/v1/")]
    assert len(tested) >= 36
    found = []
    for operation in tested:
        has_input = bool([*operation.path_parameters, *operation.query, *operation.body])
        modes = [mode for mode in GenerationMode if mode == GenerationMode.POSITIVE or has_input]
        found += [ApiRequests(operation, mode, _generate(operation, mode)) for mode in modes]
    return found


def _generate(operation: schemathesis.APIOperation, mode: GenerationMode) -> list[schemathesis.Case]:
    cases: list[schemathesis.Case] = []

    @seed(20261129)
    @hypothesis_settings(
        max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def keep(case: schemathesis.Case) -> None:
        cases.append(case)

    keep()
    return cases


@pytest.mark.parametrize("role", list(UserRole))
def test_every_operation_answers_as_described(console: tuple[str, Database], requests: list[ApiRequests], role: UserRole) -> None:
    url, database = console
    user = find_user(database, role)
    assert user is not None
    token = add_token(database, user, name="schemathesis", scopes=list(Scope), days=1, actor="test")
    run(database, "UPDATE users SET role = name, disabled_at = NULL")
    failures = [failure for wanted in requests for failure in _failures(wanted, role, url, token)]
    assert failures == [], "\n\n".join(failures)


def _failures(wanted: ApiRequests, role: UserRole, url: str, token: str) -> Iterator[str]:
    """Send the requests. For a role that is refused, one of each mode shows it."""
    operation = wanted.operation
    allowed = role in ACCESS[operation.method.upper(), operation.path]
    excluded = [positive_data_acceptance] if operation.path in CHECKED_FURTHER else []
    for case in wanted.cases if allowed else wanted.cases[:1]:
        try:
            case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {token}"}, excluded_checks=excluded)
        except (FailureGroup, Failure) as failure:
            yield f"{operation.method.upper()} {operation.path} ({wanted.mode.value}): {failure}"
