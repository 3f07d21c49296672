"""Roles end in time after SIGTERM also where the database has stopped answering."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from db.engine import Database
from tests.support.send_role import wait_for
from tests.support.silent_proxy import SilentProxy

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("role", ["conduct", "relay"])
def test_a_role_ends_although_its_database_has_gone(role: str, database: Database, broker_url: str, tmp_path: Path) -> None:
    """Its loop and its heartbeat wait for answers, in which no time limit of the driver holds."""
    url = make_url(database.engine.url)
    assert url.host is not None
    with SilentProxy(url.host, url.port or 5432) as proxy:
        given = {
            "DICOM_NODE_DATABASE__URL": url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False),
            "DICOM_NODE_BROKER__URL": broker_url,
            "DICOM_NODE_NODE__DATA_DIR": str(tmp_path),
        }
        command = [sys.executable, "-m", "deploy.cli", role]
        with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for(lambda: bool(database.read("SELECT role FROM heartbeats WHERE role = %(role)s", {"role": role})))
                proxy.silence()
                proxy.wait_for_unanswered(2)
                process.terminate()
                _, log = process.communicate(timeout=120)
            finally:
                process.kill()
    assert process.returncode == 0
    assert "role_interrupted" in log
