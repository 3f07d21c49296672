"""The import layers of pyproject.toml hold, would be noticed if they did not, and no test is skipped or mocked."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES: list[str] = CONFIG["root_packages"]
SKIPS = {"skip", "skipif", "skipIf", "skipUnless", "xfail", "importorskip", "expectedFailure"}
MOCKS = {"mock", "unittest.mock", "pytest_mock", "responses", "respx", "freezegun", "fakeredis", "moto"}


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    )


def test_the_layers_hold() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(CONFIG['contracts'])} kept, 0 broken." in done.stdout


BROKEN = [
    ("core", "import db.engine"),
    ("console", "import dicom_node"),
    ("workers", "import pynetdicom"),
    ("dicom_node", "import sqlalchemy"),
    ("db", "import torch"),
    ("models", "import db.engine"),
    ("models.classifier", "import models.dermoscopy.model"),
    ("models.ct", "import models.bundle.model"),
    ("models.dermoscopy", "import models.lung_histology_ct.model"),
    ("db", "import celery"),
    ("console", "import highdicom"),
    ("workers", "import fastapi"),
]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The check of a copy of the source with one more module in each of these packages, which imports what it may not."""
    folder = tmp_path_factory.mktemp("layers")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=lambda at, names: [n for n in names if not (Path(at, n).is_dir() or n.endswith(".py"))]
        )
    for where, what in BROKEN:
        with (folder / where.replace(".", "/") / "offender.py").open("a") as offender:
            offender.write(what + "\n")
    return _lint(folder)


@pytest.mark.parametrize(("where", "what"), BROKEN)
def test_a_broken_layer_is_noticed(broken: subprocess.CompletedProcess[str], where: str, what: str) -> None:
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert f"{where}.offender -> {what.split()[1].split('.')[0]}" in broken.stdout


def test_every_package_is_under_contract() -> None:
    layers = {name.strip() for layer in CONFIG["contracts"][0]["layers"] for name in layer.split("|")}
    assert layers == set(PACKAGES)
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(PACKAGES)


TESTS = sorted((ROOT / "tests").rglob("*.py"))


def _fails_in_ci(function: ast.AST) -> bool:
    """``if os.environ.get("CI"): pytest.fail(...)``: what a developer's machine may lack, CI must have."""
    guards = [node for node in ast.walk(function) if isinstance(node, ast.If) and "'CI'" in ast.dump(node.test)]
    return any("attr='fail'" in ast.dump(statement) for guard in guards for statement in guard.body)


@pytest.mark.parametrize("path", TESTS, ids=[str(path.relative_to(ROOT)) for path in TESTS])
def test_no_test_is_skipped_or_mocked(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    guarded = {
        id(node)
        for part in (ast.walk(tree) if "skip" in text else ())
        if isinstance(part, ast.FunctionDef) and _fails_in_ci(part)
        for node in ast.walk(part)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in SKIPS and not (node.attr == "skip" and id(node) in guarded):
            found.append(f"line {node.lineno}: {node.attr}")
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        found += [f"import of {name}" for name in names if name in MOCKS or name.removeprefix("pytest.") in SKIPS]
    assert found == []
