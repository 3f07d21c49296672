"""``doctor`` names what is wrong and what to do, and fails where something is wrong."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from db.engine import Database
from db.roles.heartbeats import record_heartbeat
from db.schema.revisions import current_revision
from db.uploads import shared_folder
from deploy.cli.main import run
from deploy.demo.pacs.storage_scp import StorageScp
from deploy.doctor.check import Check
from deploy.doctor.codecs import broken_decoders
from deploy.doctor.configuration import check_sign_in
from deploy.doctor.machine import check_models
from deploy.doctor.services import check_database, check_sources, destination_fix
from deploy.local.ports import free_port
from imaging.pixels.codecs import DECODERS
from models import installed
from tests.support import node_toml
from tests.support.model_packages import other_version
from tests.support.records import Sender, plan, report_study
from tests.support.records import run as execute

PORTS = "[node]\nport = 0\n[console]\nport = 0\n"
SKIN = "dermoscopy_7class"


def run_doctor(capsys: pytest.CaptureFixture[str], config: Path, status: int) -> dict[str, dict[str, Any]]:
    assert run(["doctor", "--json", "--config", str(config)]) == status
    return {check["check"]: check for check in json.loads(capsys.readouterr().out)}


def test_every_decoder_works() -> None:
    assert broken_decoders() == ([], len(DECODERS))


def test_every_check_passes_on_a_complete_node(
    tmp_path: Path, database_url: str, broker_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pacs = StorageScp(tmp_path / "pacs")
    pacs.start()
    config = tmp_path / "node.toml"
    config.write_text(f"""
{PORTS}[receive]
min_free_bytes = 0
[database]
url = "{database_url}"
[broker]
url = "{broker_url}"
{node_toml.source("PACS")}{node_toml.pacs(pacs.port)}{node_toml.skin_route()}""")
    try:
        checks = run_doctor(capsys, config, 0)
    finally:
        pacs.stop()
    assert all(check["ok"] for check in checks.values())
    for name in (
        *("settings", "route skin", "DICOM port", "console port", "disk", "data folder", "clock", "codecs", "database"),
        *("database durability", "database clock", "audit trail", "uploads", "deliveries", "broker", "broker file", "GPU", "models"),
        *("blobs", "destination pacs"),
    ):
        assert name in checks
    # The PACS is gone; a machine without network to it leaves the check out.
    assert run(["doctor", "--json", "--config", str(config), "--skip", "destinations"]) == 0
    assert {check["check"] for check in json.loads(capsys.readouterr().out)} == set(checks) - {"destination pacs"}
    assert run(["doctor", "--config", str(config), "--skip", "nothing"]) == 2
    assert "doctor has no checks nothing" in capsys.readouterr().err


def test_a_machine_that_cannot_write_uploads_need_not_share_their_folder(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the containers of the roles without that volume: their root is read-only."""
    record_heartbeat(database, "listen", "another:1", {shared_folder.DETAIL: "another folder"})
    url = database.engine.url.render_as_string(hide_password=False)
    settings = Settings.model_validate({"node": {"data_dir": str(tmp_path)}, "database": {"url": url}})

    def uploads() -> Check:
        return next(check for check in check_database(settings, running=False) if check.name == "uploads")

    assert not uploads().ok

    def fail(number: int) -> None:
        def folder_name(_folder: Path) -> str:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(shared_folder, "folder_name", folder_name)

    fail(errno.EROFS)
    assert uploads().ok
    fail(errno.EACCES)
    with pytest.raises(PermissionError):
        uploads()


def test_deliveries_that_failed_or_are_held_are_counted_for_each_destination(database: Database, tmp_path: Path) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    settings = Settings.model_validate({"node": {"data_dir": str(tmp_path)}, "database": {"url": url}})

    def deliveries() -> list[tuple[str, bool, str]]:
        checks = [check for check in check_database(settings, running=False) if check.name.startswith("deliveries")]
        assert all(bool(check.fix) == (check.name != "deliveries") for check in checks)
        return [(check.name, check.ok, check.found) for check in checks]

    report_study(database, plan(destinations=("pacs", "clinic", "ward")))
    assert deliveries() == [("deliveries", True, "none has failed or is held")]
    execute(database, "UPDATE deliveries SET state = 'failed' WHERE destination = 'pacs'")
    execute(database, "UPDATE deliveries SET state = 'held', awaiting_verdict = destination = 'ward' WHERE destination <> 'pacs'")
    assert deliveries() == [("deliveries to clinic", True, "1 held"), ("deliveries to pacs", False, "1 failed")]


def test_units_that_wait_for_their_images_are_counted_with_the_reason(database: Database, tmp_path: Path) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    settings = Settings.model_validate({"node": {"data_dir": str(tmp_path)}, "database": {"url": url}})

    def images() -> Check:
        return next(check for check in check_database(settings, running=False) if check.name == "unit images")

    Sender(database).send(1)
    assert (images().ok, images().found, images().fix) == (True, "no unit waits for them", "")
    execute(database, "UPDATE units SET reason = 'its images cannot be read now: Stale file handle'")
    assert (images().ok, images().found) == (False, "1 unit waits: its images cannot be read now: Stale file handle")
    assert "unit_unreadable" in images().fix


def test_failed_checks_say_what_to_do(tmp_path: Path, broker_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f"""
{PORTS}[database]
url = "postgresql://a:secret@127.0.0.1:1/b"
[broker]
url = "{broker_url}"
[[destinations]]
name = "results"
folder = "{tmp_path / "absent"}"
{node_toml.pacs(1, ae_title="PACS", accept_research=False)}{node_toml.skin_route()}{node_toml.chest_route("retired_model", name="old")}""")
    checks = run_doctor(capsys, config, 1)
    bad = {name for name, check in checks.items() if not check["ok"]}
    assert bad >= {"settings", "route skin", "route old", "database", "destination pacs"}
    assert "[[sources]]" in checks["settings"]["fix"]
    assert "accept_research" in checks["route skin"]["fix"]
    assert all(checks[name]["fix"] for name in bad)
    assert "firewall" in checks["destination pacs"]["fix"]
    assert checks["destination results"]["fix"] == "create the folder, or let the account that runs the node write to it"
    assert checks["database"]["fix"] == "start it, or correct database.url"
    assert "secret" not in json.dumps(checks)


def test_the_addresses_of_sources_are_tested(tmp_path: Path) -> None:
    """Each address once; that of commitment where it is another one than that of queries."""
    pacs = StorageScp(tmp_path / "pacs")
    pacs.start()
    there = {"ae_title": "DEMOPACS", "host": "127.0.0.1", "port": pacs.port}
    sources = [
        {"ae_title": "CT", "host": "10.0.0.1", "query": there, "commitment": there},
        {"ae_title": "MR", "host": "10.0.0.2", "query": there, "commitment": there | {"port": free_port()}},
        {"ae_title": "CR", "host": "10.0.0.3"},
    ]
    settings = Settings.model_validate({"node": {"data_dir": str(tmp_path)}, "sources": sources})
    try:
        answers, refuses = check_sources(settings)
    finally:
        pacs.stop()
    assert (answers.name, answers.ok, answers.fix) == ("source CT query", True, "")
    assert (refuses.name, refuses.ok) == ("source MR commitment", False)
    assert refuses.fix == "is it running, is the port right, does a firewall block it?"


def test_each_damaged_version_of_a_model_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for version in ("9.9.7", "9.9.8", "9.9.9"):
        installed.install_version(other_version(SKIN, tmp_path / version, version), folder)
    (folder / SKIN / "9.9.8" / "card.toml").write_text("[")
    (folder / SKIN / "9.9.9" / "weights.safetensors").write_bytes(b"x")
    checks = {check.name: check for check in check_models(Settings.model_validate({"node": {"data_dir": str(tmp_path)}}))}
    assert {name for name, check in checks.items() if not check.ok} == {f"model {SKIN} 9.9.8", f"model {SKIN} 9.9.9"}
    assert "9.9.8/card.toml: not TOML" in checks[f"model {SKIN} 9.9.8"].found
    assert checks[f"model {SKIN} 9.9.8"].fix == f"remove {folder}/{SKIN}/9.9.8, and import the version again"
    assert "9.9.9/weights.safetensors has sha256" in checks[f"model {SKIN} 9.9.9"].found
    assert "remove its folder and import it again" in checks[f"model {SKIN} 9.9.9"].fix
    assert f"{SKIN} 9.9.7" in checks["models"].found
    assert "9.9.8" not in checks["models"].found


def test_a_secret_in_the_file_is_reported_but_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[database]\nurl = "postgresql://node:hush@127.0.0.1:1/none"\n[broker]\nurl = "redis://127.0.0.1:1/0"\n')
    for mode, word in ((0o644, "other users may read it"), (0o600, "only its owner may read it")):
        config.chmod(mode)
        run(["doctor", "--config", str(config), "--json"])
        captured = capsys.readouterr()
        assert "hush" not in captured.out + captured.err
        (check,) = [item for item in json.loads(captured.out) if item["check"] == "credentials"]
        assert (check["ok"], check["found"]) == (True, f"database.url in the configuration file, and {word}")
        assert "DICOM_NODE_DATABASE__URL_FILE" in check["fix"]


def test_an_old_schema_needs_an_upgrade(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database.open(postgres_url)  # the empty database of the server
    empty = current_revision(database) is None
    database.dispose()
    assert empty
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", postgres_url)
    config = tmp_path / "node.toml"
    config.write_text("[node]\nport = 0\n[console]\nport = 0\n")
    assert run_doctor(capsys, config, 1)["database"]["fix"] == "dicom-node db upgrade"


def test_the_table_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text("[node]\nport = 0\n[console]\nport = 0\n")
    assert run(["doctor", "--config", str(config)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "fix" in err
    assert "checks failed: settings" in err


def test_files_of_sign_in_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    oidc = {"issuer": "https://login.example.org", "client_id": "console", "redirect_url": "https://node.example.org/sign-in/oidc/callback"}

    def check() -> list[tuple[bool, str]]:
        settings = Settings.model_validate({"console": {"oidc": {**oidc, "client_secret_file": secret}}})
        return [(found.ok, found.found) for found in check_sign_in(settings)]

    assert check() == [(False, f"console.oidc.client_secret_file: {secret} cannot be read: No such file or directory")]
    secret.write_bytes(b"\xff")
    assert check() == [(False, f"console.oidc.client_secret_file: {secret} cannot be read: it is not text")]
    secret.write_text("\n")
    assert check() == [(False, f"console.oidc.client_secret_file: {secret} is empty")]
    secret.write_text("secret\n")
    assert check() == [(True, "the files for https://login.example.org can be read")]
    assert list(check_sign_in(Settings())) == []


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        ("PACS at 127.0.0.1:104 rejected the association: Rejected Permanent, Called AE title not recognised", "correct ae_title"),
        ("PACS at 127.0.0.1:104 rejected the association: Rejected Permanent, Calling AE title not recognised", "enter node.ae_title"),
        ("no connection to PACS at localhost:104: its certificate is not accepted: certificate has expired", "certificate of the peer"),
        ("no connection to PACS at localhost:104: connection reset by peer", "speak TLS"),
        ("no connection to PACS at pacs.invalid:104: Name or service not known", "correct host"),
        ("no connection to PACS at 127.0.0.1:104: connection refused", "is the port right"),
        ("no answer", "does it know the AE title"),
    ],
)
def test_the_advice_fits_the_answer(answer: str, fix: str) -> None:
    destination = Destination.model_validate({"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104})
    assert fix in destination_fix(destination, answer)
