"""``models import / activate / shadow / retire / rollback / list``, and the audit events that they record."""

import json
import shutil
from pathlib import Path

import pytest

from core.settings.settings import Settings
from core.states import ModelOrigin, ModelState
from db import audit
from db.engine import Database
from db.operations import model_registry
from deploy.cli.common import operator_name
from deploy.cli.main import run
from models import installed, registry
from models.regression.stored_answers import save_answers
from tests.support.made_answers import made_answers
from tests.support.model_packages import other_version
from tests.support.monai_bundles import make_bundle
from tests.support.queued_jobs import SKIN, configure

PACKAGED = registry.card(SKIN).version


@pytest.fixture
def settings(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(tmp_path / "node.toml"))
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    monkeypatch.setenv("DICOM_NODE_BROKER__URL", "redis://127.0.0.1:1/0")
    return configure(tmp_path, database_url, "redis://127.0.0.1:1/0")


@pytest.fixture
def imported(settings: Settings, tmp_path: Path) -> Path:
    folder = other_version(SKIN, tmp_path / "other")
    assert run(["models", "import", str(folder)]) == 0
    return folder


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """version -> state of the skin model."""
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    return {row["version"]: row["state"] for row in json.loads(capsys.readouterr().out) if row["name"] == SKIN}


def test_states_of_a_version(imported: Path, database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {PACKAGED: "", "9.9.9": ""}
    assert run(["models", "activate", SKIN, PACKAGED]) == 0
    assert run(["models", "shadow", SKIN, "9.9.9"]) == 0
    assert listed(capsys) == {PACKAGED: "active", "9.9.9": "shadow"}
    assert run(["models", "activate", SKIN, "9.9.9"]) == 0
    assert listed(capsys) == {PACKAGED: "standby", "9.9.9": "active"}
    assert run(["models", "rollback", SKIN]) == 0
    assert listed(capsys) == {PACKAGED: "active", "9.9.9": "standby"}
    assert run(["models", "retire", SKIN, "9.9.9"]) == 0
    assert listed(capsys) == {PACKAGED: "active", "9.9.9": "retired"}
    events = [(event["action"], event["actor"]) for event in audit.export(database)]
    assert events == [(f"model.{act}", operator_name()) for act in ("activated", "shadowed", "activated", "rolled_back", "retired")]
    for command in (["models", "compare", SKIN], ["models", "drift"], ["models", "drift", SKIN]):
        assert run([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []


def test_a_version_that_is_worse_on_held_out_images_is_activated_only_on_request(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both versions have the answers of `models evaluate` beside their weights; those of the second are noise."""
    for version, skill in (("9.0.0", 2.0), ("9.9.9", 0.0)):
        folder = other_version(SKIN, tmp_path / version, version)
        save_answers(made_answers(skill), folder)
        assert run(["models", "import", str(folder)]) == 0
    assert run(["models", "activate", SKIN, "9.0.0"]) == 0
    capsys.readouterr()
    assert run(["models", "activate", SKIN, "9.9.9"]) == 1
    assert "is worse than the active version on 400 held-out cases: balanced accuracy" in " ".join(capsys.readouterr().err.split())
    assert run(["models", "compare", SKIN, "--held-out", "9.9.9", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["worse"]
    assert rows[0]["high"] < 0
    assert run(["models", "activate", SKIN, "9.9.9", "--even-if-worse"]) == 0
    assert listed(capsys)["9.9.9"] == "active"


def test_altered_weights_are_not_activated(
    imported: Path, settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = settings.node.data_dir / installed.FOLDER / SKIN / "9.9.9" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    for act in ("activate", "shadow"):
        capsys.readouterr()
        assert run(["models", act, SKIN, "9.9.9"]) == 1
        assert "its card expects" in capsys.readouterr().err
    assert model_registry.registered_models(database) == ()
    assert run(["models", "list", "--json"]) == 0
    found = {row["version"]: row["weights"] for row in json.loads(capsys.readouterr().out) if row["name"] == SKIN}
    assert "its card expects" in found["9.9.9"]


def test_a_version_that_a_worker_could_not_load_is_not_imported(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {key: value for key, value in registry.card("lung_nodule_ct").network.items() if key != "second"}
    folder = other_version("lung_nodule_ct", tmp_path / "other", network=network)
    assert run(["models", "import", str(folder)]) == 1
    assert "its card does not fit the code of this release" in " ".join(capsys.readouterr().err.split())
    assert not (settings.node.data_dir / installed.FOLDER).exists()


def test_a_damaged_card_is_listed_with_its_file_and_the_others_stay_usable(
    imported: Path, settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "activate", SKIN, "9.9.9"]) == 0
    card = settings.node.data_dir / installed.FOLDER / SKIN / "9.9.9" / "card.toml"
    card.write_bytes(b"\xff" + card.read_bytes())
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    found = {row["version"]: row for row in json.loads(capsys.readouterr().out) if row["name"] == SKIN}
    assert (found[PACKAGED]["weights"], found["9.9.9"]["state"], found["9.9.9"]["origin"]) == ("verified", "active", "installed")
    assert str(card) in found["9.9.9"]["weights"]
    assert len(found["9.9.9"]["digest"]) == 64
    assert run(["models", "activate", SKIN, "9.9.9"]) == 1
    assert str(card) in capsys.readouterr().err
    assert run(["models", "drift", "--json"]) == 0
    assert run(["models", "activate", SKIN, PACKAGED]) == 0
    assert {row.version: row.state for row in model_registry.registered_models(database)} == {
        "9.9.9": ModelState.STANDBY,
        PACKAGED: ModelState.ACTIVE,
    }
    assert run(["models", "retire", SKIN, "9.9.9"]) == 0
    assert run(["models", "retire", SKIN, "9.9.9"]) == 0
    assert capsys.readouterr().err.splitlines()[-1].endswith("is retired already")
    assert listed(capsys) == {PACKAGED: "active", "9.9.9": "retired"}


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_version_is_retired_by_what_was_registered_and_not_by_its_files(
    imported: Path, settings: Settings, database: Database, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    assert run(["models", "activate", SKIN, "9.9.9"]) == 0
    (before,) = model_registry.registered_models(database)
    folder = settings.node.data_dir / installed.FOLDER / SKIN / "9.9.9"
    if damage == "gone":
        shutil.rmtree(folder)
    else:
        (folder / "card.toml").write_text((folder / "card.toml").read_text() + "# a remark\n")
    assert run(["models", "retire", SKIN, "9.9.9"]) == 0
    (after,) = model_registry.registered_models(database)
    assert (after.digest, after.state) == (before.digest, ModelState.RETIRED)
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["digest"] == before.digest)
    assert row["weights"] == ("not installed any more" if damage == "gone" else "its card was changed: the files have another digest")
    assert [event["action"] for event in audit.export(database)] == ["model.activated", "model.retired"]


def test_a_rollback_to_altered_weights_is_refused(imported: Path, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "activate", SKIN, "9.9.9"]) == 0
    assert run(["models", "activate", SKIN, PACKAGED]) == 0
    (settings.node.data_dir / installed.FOLDER / SKIN / "9.9.9" / "weights.safetensors").write_bytes(b"x")
    capsys.readouterr()
    assert run(["models", "rollback", SKIN]) == 2
    assert "is not installed any more" in capsys.readouterr().err


def test_an_imported_bundle_is_used_after_activation(
    settings: Settings, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    assert run(["models", "import", str(bundle), "--about", str(tmp_path / "about.toml")]) == 0
    assert model_registry.registered_models(database) == ()
    assert run(["models", "activate", "brought_detector", "0.6.9"]) == 0
    (row,) = model_registry.registered_models(database)
    assert (row.name, row.state, row.origin) == ("brought_detector", ModelState.ACTIVE, ModelOrigin.INSTALLED)
    capsys.readouterr()
    assert run(["models", "list", "--json"]) == 0
    found = {row["name"]: (row["state"], row["status"], row["weights"]) for row in json.loads(capsys.readouterr().out)}
    assert found["brought_detector"] == ("active", "research", "verified")
    assert not list((settings.node.data_dir / installed.FOLDER).rglob("*.pt"))


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["activate", SKIN, "3.0"], 1, "no version of dermoscopy_7class is 3.0"),
        (["activate", "no_such_model", "1"], 2, "no_such_model"),
        (["rollback", SKIN], 2, "was active before"),
        (["import", "/no/such/folder"], 2, "/no/such/folder does not exist"),
    ],
)
def test_errors_are_one_line(
    settings: Settings, arguments: list[str], status: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert expected in captured.err
