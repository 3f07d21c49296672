"""Each command imports only what it needs: a heavy library that it does not use would cost seconds at every start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import VERSION
from deploy.cli.main import run

ROOT = Path(__file__).parents[3]
LIBRARIES = {
    *("torch", "monai", "safetensors", "scipy", "highdicom", "pydicom", "pynetdicom", "numpy", "imagecodecs", "PIL", "reportlab"),
    *("celery", "kombu", "redis", "fastapi", "starlette", "uvicorn", "jinja2", "argon2", "cryptography", "alembic", "structlog", "rich"),
    *("sqlalchemy", "psycopg2", "pydantic", "typer"),
}
OF_A_LISTING = {"psycopg2", "pydantic", "typer"}
LISTINGS = ("jobs list --json", "deliveries list --json", "quarantine list --json", "rules unrouted --json", "models list --json")
# Listings and exports that also write, or that compute something: they load SQLAlchemy.
OTHERS = (
    *("results export", "audit export", "retention run --dry-run --json", "users list --json", "routes list --json"),
    *("models compare dermoscopy_7class --json", "models drift --json"),
)
# Of a sign-in through a provider of OpenID Connect, and the dictionary of coded concepts: loaded where they are used.
NOT_AT_START = {"torch", "monai", "scipy", "highdicom", "authlib", "joserfc", "httpx", "alembic"}
PROGRAM = """
import contextlib, io, json, sys
from deploy.cli.main import run
loaded = {}
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()):
        status = run(command.split())
    loaded[command] = [status, sorted({name.partition(".")[0] for name in sys.modules} & set(json.loads(sys.argv[2])))]
print(json.dumps(loaded))
"""


def libraries_loaded_by(*commands: str) -> dict[str, tuple[int, set[str]]]:
    """Run commands one after the other in a new process; return the exit status and the libraries that are loaded after each."""
    arguments = [json.dumps(commands), json.dumps(sorted(LIBRARIES))]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return {command: (status, set(names)) for command, (status, names) in json.loads(done.stdout).items()}


def test_the_version_needs_no_library() -> None:
    assert libraries_loaded_by("--version") == {"--version": (0, set())}


def test_the_help_needs_no_library_but_typer() -> None:
    assert libraries_loaded_by("--help")["--help"] == (0, {"typer"})


def test_no_listing_loads_what_it_does_not_use(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    found = libraries_loaded_by(*LISTINGS, *OTHERS)
    assert found == dict.fromkeys(LISTINGS, (0, OF_A_LISTING)) | dict.fromkeys(OTHERS, (0, OF_A_LISTING | {"sqlalchemy"}))


def test_up_loads_nothing_that_its_roles_need_only_later() -> None:
    program = "import sys; from deploy.local.forked_process import ROLE_MODULES, import_role; [import_role(role) for role in ROLE_MODULES]"
    done = subprocess.run([sys.executable, "-c", program + "; print(*sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"pynetdicom", "celery", "fastapi"} <= loaded
    assert not loaded & {*NOT_AT_START, "pydicom.sr.codedict"}


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"dicom-node {VERSION}\n"
