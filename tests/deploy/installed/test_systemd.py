"""The systemd services: units without faults and with few rights, files of the installation, and an upgrade on a real database."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import text

from core.settings.settings import Settings
from db.engine import Database
from db.schema.revisions import current_revision, expected_revision
from deploy.local.database.database_roles import ADMIN, NODE
from deploy.settings_file import load_settings
from tests.support.records import rows
from tests.support.services import as_role, fresh_database
from tests.support.wheels import ROOT, make_environment, outside_environment

SYSTEMD = ROOT / "deploy/systemd"
ROLES = ("listen", "conduct", "relay", "worker", "send", "console")
STOP = "stop dicom-node.target dicom-node-*.service"
HIGHEST_EXPOSURE = 30  # 3.0 of 10


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root folder with the units and the program that they start."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(SYSTEMD / "system", root / "usr/lib/systemd/system")
    program = root / "opt/dicom-node/current/bin/dicom-node"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return root


def _analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [*ROLES, "migrate"])
def test_a_unit_may_do_little(name: str, units: Path) -> None:
    done = _analyze("security", "--offline=true", f"--root={units}", f"--threshold={HIGHEST_EXPOSURE}", f"dicom-node-{name}.service")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Overall exposure level for dicom-node-{name}.service" in done.stdout


def test_systemd_finds_no_fault(units: Path) -> None:
    done = _analyze("verify", f"--root={units}", "dicom-node.target")
    assert (done.returncode, done.stderr) == (0, "")
    target = (SYSTEMD / "system/dicom-node.target").read_text()
    assert all(f"dicom-node-{role}.service" in target for role in ROLES)


@pytest.mark.parametrize("name", ROLES)
def test_a_role_waits_for_the_schema_and_not_for_one_attempt_of_the_migration(name: str) -> None:
    """With Requires= it stays down after a failed attempt (a start that failed as "dependency" is not repeated)."""
    lines = (SYSTEMD / f"system/dicom-node-{name}.service").read_text().splitlines()
    common = (SYSTEMD / "system/dicom-node-.service.d/10-common.conf").read_text().splitlines()
    assert not [line for line in lines if line.startswith(("Requires=", "BindsTo=", "Requisite="))]
    assert {"Wants=dicom-node-migrate.service", "Restart=always"} <= set(lines)
    assert "ExecStartPre=/opt/dicom-node/current/bin/dicom-node db wait --timeout inf" in lines
    assert {"TimeoutStartSec=infinity", "StartLimitIntervalSec=0"} <= set(common)


def test_a_role_starts_when_a_later_migration_succeeds(postgres_url: str, tmp_path: Path) -> None:
    """The command of ExecStartPre, on a database that has no schema yet."""
    with fresh_database(postgres_url, "template0") as url:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DICOM_NODE_DATABASE__URL": url}
        command = [sys.executable, "-m", "deploy.cli", "db"]
        waiting = subprocess.Popen([*command, "wait", "--timeout", "inf"], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            assert waiting.stderr is not None
            assert "now: an empty database" in waiting.stderr.readline()
            admin = {**environment, "DICOM_NODE_DATABASE__ADMIN_URL": as_role(url, ADMIN)}
            subprocess.run([*command, "upgrade"], env=admin, cwd=tmp_path, check=True)
            assert waiting.wait(60) == 0
        finally:
            waiting.kill()
            waiting.communicate()


def test_a_role_waits_while_the_tables_belong_to_the_role_that_upgrades(database_url: str, tmp_path: Path) -> None:
    """So it is for a moment in the first upgrade, and after one that was killed there."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DICOM_NODE_DATABASE__URL": database_url}
    with Database.open(as_role(database_url, ADMIN)) as admin:

        def give_to(role: str) -> None:
            with admin.begin() as connection:
                connection.execute(text(f"ALTER TABLE alembic_version OWNER TO {role}"))

        give_to(ADMIN)
        command = [sys.executable, "-m", "deploy.cli", "db", "wait", "--timeout", "inf"]
        waiting = subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            assert waiting.stderr is not None
            assert "may not read the tables" in waiting.stderr.readline()
            give_to(NODE)
            assert waiting.wait(60) == 0
        finally:
            waiting.kill()
            waiting.communicate()
            give_to(NODE)


def test_the_environment_of_the_units_is_known(tmp_path: Path) -> None:
    common = (SYSTEMD / "system/dicom-node-.service.d/10-common.conf").read_text()
    variables = dict(line.removeprefix("Environment=").split("=", 1) for line in common.splitlines() if line.startswith("Environment="))
    for name, url in (("database_url", "postgresql://database"), ("broker_url", "redis://broker")):
        (tmp_path / name).write_text(url)
    settings: Settings = load_settings(SYSTEMD / "node.toml", {key: value.replace("%d", str(tmp_path)) for key, value in variables.items()})
    assert (settings.database.url, settings.broker.url) == ("postgresql://database", "redis://broker")
    assert str(settings.node.data_dir) in common


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a wheel whose migration fails, and ``prefix`` with the release that is installed."""
    folder = tmp_path_factory.mktemp("upgrade")
    broken = folder / "broken" / wheel.name
    broken.parent.mkdir()
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(broken, "w") as target:
        for item in source.infolist():
            target.writestr(item, b"SELECT no_such_function();" if item.filename == "db/schema/views.sql" else source.read(item))
    make_environment(folder / "prefix/releases/old", wheel, folder / "checkout.log", compiled=False)
    (folder / "prefix/current").symlink_to(folder / "prefix/releases/old")
    units = folder / "root/usr/lib/systemd/system"
    shutil.copytree(SYSTEMD / "system", units)
    (folder / "root/etc").mkdir()
    (units / "dicom-node-send.service").write_text("[Service]\nExecStart=/opt/dicom-node/current/bin/dicom-node send --as-it-was\n")
    (units / "dicom-node-deliver.service").write_text("[Service]\nExecStart=/opt/dicom-node/current/bin/dicom-node deliver\n")
    (units / "dicom-node-relay.service").unlink()
    (units / "postgresql.service").write_text("of another package")
    return folder


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def _without_downloads(installation: Path) -> dict[str, str]:
    """Return variables of venv and pip: the packages, and pip itself, are those of this environment."""
    old = installation / "prefix/releases/old"
    borrowed = next((old / "lib").glob("*/site-packages/borrowed.pth")).read_text().strip()
    pip = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_COMPILE": "1"}
    return {"PYTHON": str(old / "bin/python"), "VENV_OPTIONS": "--without-pip", "PYTHONPATH": borrowed, **pip}


def _upgrade(installation: Path, wheel: Path, url: str, *options: str, at_stop: str = "") -> "subprocess.CompletedProcess[str]":
    """Run upgrade.sh. Where systemd does not run, a stand-in for systemctl notes its calls; everything else is real.

    Parameters
    ----------
    at_stop
        What the stand-in does where it is told to stop the services.
    """
    programs, secrets = installation / "programs", installation / "secrets"
    for folder in (programs, secrets, installation / "backups"):
        folder.mkdir(exist_ok=True)
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{installation}/systemctl.log\n[ "$1" != stop ] || {at_stop or ":"}\n')
    (programs / "systemctl").chmod(0o755)
    (secrets / "database_admin_url").write_text(as_role(url, ADMIN))
    (secrets / "database_url").write_text(url)
    (secrets / "broker_url").write_text("redis://127.0.0.1:1/0")
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PREFIX": str(installation / "prefix"),
        "CONFIG": str(SYSTEMD / "node.toml"),
        "SECRETS": str(secrets),
        "BACKUPS": str(installation / "backups"),
        "ROOT": str(installation / "root"),
        **_without_downloads(installation),
    }
    command = ["bash", str(SYSTEMD / "upgrade.sh"), *options, str(wheel)]
    return subprocess.run(command, env=outside_environment(**own), capture_output=True, text=True, check=False)


@pytest.mark.timeout(3600)
def test_an_upgrade_stops_backs_up_migrates_and_starts(installation: Path, wheel: Path, postgres_url: str) -> None:
    current, calls = installation / "prefix/current", installation / "systemctl.log"
    units = installation / "root/usr/lib/systemd/system"
    units_before = _files(units)
    with fresh_database(postgres_url, "template0") as url:
        planned = _upgrade(installation, wheel, url, "--dry-run")
        assert (planned.returncode, calls.exists(), os.listdir(installation / "backups")) == (0, False, []), planned.stderr
        steps = [line for line in planned.stdout.splitlines() if line.startswith("+ ")]
        order = ["pip install", "stop dicom-node.target", "db backup", "daemon-reload", "ln -sfn", "db upgrade", "start dicom-node.target"]
        assert [next(number for number, line in enumerate(steps) if part in line) for part in order] == sorted(
            next(number for number, line in enumerate(steps) if part in line) for part in order
        )

        failed = _upgrade(installation, installation / "broken" / wheel.name, url)
        assert failed.returncode == 1
        assert "the version before is started again" in failed.stderr
        assert current.readlink().name == "old"
        database = Database.open(url)
        assert current_revision(database) is None
        assert calls.read_text().splitlines() == [STOP, "daemon-reload", "daemon-reload", "start dicom-node.target"]
        assert _files(units) == units_before

        calls.unlink()
        done = _upgrade(installation, wheel, url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert calls.read_text().splitlines() == [STOP, "daemon-reload", "start dicom-node.target"]
        assert _files(units) == _files(SYSTEMD / "system") | {"postgresql.service": "of another package"}
        assert current.readlink().name.startswith("0.1.0-")
        assert current_revision(database) == expected_revision()
        assert rows(database, "SELECT count(*) FROM installation") == [(1,)]
        database.dispose()
        kept = sorted(path.suffix for path in (installation / "backups").iterdir())
        assert kept == [".dump", ".dump", ".toml", ".toml", ".units", ".units"]
        again = _upgrade(installation, wheel, url)
        assert (again.returncode, "is the version that is installed" in again.stderr) == (1, True)


@pytest.mark.parametrize("at_stop", ["exit 1", "kill -TERM $PPID", "kill -HUP $PPID"])
@pytest.mark.timeout(3600)
def test_an_upgrade_that_is_interrupted_starts_the_version_before(installation: Path, wheel: Path, at_stop: str) -> None:
    """Where a service does not stop, and where the terminal of the upgrade is lost."""
    calls, before = installation / "systemctl.log", (installation / "prefix/current").readlink()
    calls.unlink(missing_ok=True)
    done = _upgrade(installation, installation / "broken" / wheel.name, "postgresql://n:p@127.0.0.1:1/n", at_stop=at_stop)
    assert done.returncode == 1
    assert calls.read_text().splitlines() == [STOP, "start dicom-node.target"]
    assert (installation / "prefix/current").readlink() == before


def test_an_installation_puts_every_file_in_its_place(installation: Path, wheel: Path, tmp_path: Path) -> None:
    """Into another root folder, where `systemd-sysusers` and `systemd-tmpfiles` make the user and the folders."""
    own = {"ROOT": str(tmp_path), "PREFIX": str(tmp_path / "opt/dicom-node"), **_without_downloads(installation)}
    done = subprocess.run(
        ["bash", str(SYSTEMD / "install.sh"), str(wheel)], env=outside_environment(**own), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "usr/lib/systemd/system").iterdir()} == {path.name for path in (SYSTEMD / "system").iterdir()}
    assert "dicom-node:" in (tmp_path / "etc/passwd").read_text()
    assert (tmp_path / "etc/dicom-node/node.toml").read_text() == (SYSTEMD / "node.toml").read_text()
    assert (tmp_path / "etc/dicom-node/secrets").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "var/lib/dicom-node").is_dir()
    assert (tmp_path / "etc/logrotate.d/dicom-node").is_file()


@pytest.mark.parametrize("script", ["install.sh", "upgrade.sh", "release.sh"])
def test_a_script_parses(script: str) -> None:
    assert subprocess.run(["bash", "-n", str(SYSTEMD / script)], check=False).returncode == 0
