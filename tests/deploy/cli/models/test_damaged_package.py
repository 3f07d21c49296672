"""A program whose shipped card of one model is damaged: every command goes on, and says which model cannot be used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.states import ModelOrigin, ModelState
from db.engine import Database
from db.operations import model_registry
from models import registry
from models.card import identity
from tests.support.queued_jobs import SKIN, configure

ROOT = registry.MODELS_FOLDER.parent
PACKAGES = ("core", "db", "imaging", "models", "dicom_node", "workers", "console", "deploy")
SERVING = """
import sys
from pathlib import Path
from core.settings.settings import Settings
from deploy.configured_models import check_models
from dicom_node.conduct.model_versions import served_versions
from models import registry
routes = [{"name": name, "model": name, "destinations": ["pacs"], "when": {"Modality": "CT"}} for name in registry.names()]
check_models(Settings.model_validate({"destinations": [{"name": "pacs", "folder": "/nowhere"}], "routes": routes}))
for name in registry.names():
    print(name, served_versions(name, [], Path("/nowhere")).problem)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The program as links to its files, with a damaged card of the skin model."""
    folder = tmp_path / "program"
    folder.mkdir()
    for name in PACKAGES:
        if name != "models":
            (folder / name).symlink_to(ROOT / name)
    (folder / "models" / "dermoscopy").mkdir(parents=True)
    for path in registry.MODELS_FOLDER.iterdir():
        if path.name != "dermoscopy":
            (folder / "models" / path.name).symlink_to(path)
    for path in registry.folder(SKIN).iterdir():
        if path.name != "card.toml":
            (folder / "models" / "dermoscopy" / path.name).symlink_to(path)
    (folder / "models" / "dermoscopy" / "card.toml").write_text("name = ")
    return folder


def call(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(program)}
    return subprocess.run([sys.executable, *arguments], cwd=program, env=environment, capture_output=True, text=True, check=False)


def test_commands_name_the_damaged_model_and_serve_the_others(
    program: Path, tmp_path: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = program / "models" / "dermoscopy" / "card.toml"
    shipped = registry.card(SKIN)
    known = identity(shipped, registry.pipeline_digest(SKIN))
    model_registry.activate_model(database, known, origin=ModelOrigin.PACKAGE, actor="test")
    configure(tmp_path, database_url, "redis://127.0.0.1:1/0")
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(tmp_path / "node.toml"))
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    monkeypatch.setenv("DICOM_NODE_BROKER__URL", "redis://127.0.0.1:1/0")
    command = ("-c", "from deploy.cli.main import main; main()")

    listed = call(program, *command, "models", "list", "--json")
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert (rows[SKIN]["version"], rows[SKIN]["state"], rows[SKIN]["origin"]) == (shipped.version, "active", "package")
    assert str(card) in rows[SKIN]["weights"]
    assert "install the package again" in rows[SKIN]["weights"]
    assert rows["lung_histology_ct"]["weights"] == "verified"

    verified = call(program, *command, "models", "verify", "--json")
    assert verified.returncode == 1
    found = {row["name"]: row for row in json.loads(verified.stdout)}
    assert (found["lung_histology_ct"]["ok"], found[SKIN]["ok"]) == (True, False)
    assert str(card) in found[SKIN]["found"]

    checked = call(program, *command, "doctor", "--json")
    check = next(row for row in json.loads(checked.stdout) if row["check"] == f"model {SKIN} shipped")
    assert (check["ok"], check["fix"]) == (False, "install the package again")

    serving = call(program, "-c", SERVING)
    assert serving.returncode == 0, serving.stderr
    served = dict(line.partition(" ")[::2] for line in serving.stdout.splitlines())
    assert str(card) in served[SKIN]
    assert (served["lung_histology_ct"], served["lung_nodule_ct"]) == ("", "")

    retired = call(program, *command, "models", "retire", SKIN, shipped.version)
    assert retired.returncode == 0, retired.stderr
    assert [one.state for one in model_registry.registered_models(database)] == [ModelState.RETIRED]
