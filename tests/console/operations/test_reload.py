"""The console follows a changed configuration as SIGHUP makes the other roles do; a wrong file changes nothing."""

import threading
from pathlib import Path

import httpx
import pytest

from console import app
from db.engine import Database
from deploy.reload import RoleReload
from deploy.settings_file import load_settings
from tests.support.console import Browser, add_users
from tests.support.node_process import wait_until
from tests.support.records import rows

TEXT = """
[node]
data_dir = "{folder}"
[console]
port = 0
[receive]
min_free_bytes = {free}
[[destinations]]
name = "pacs"
folder = "{folder}"
[[routes]]
name = "{route}"
model = "lung_nodule_ct"
destinations = ["pacs"]
when = {{ Modality = "CT" }}
"""


def test_routes_and_limits_are_those_of_the_last_valid_file(database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(TEXT.format(folder=tmp_path, route="before", free=1))
    reloading = RoleReload("console", load_settings(config), config, database)
    add_users(database)
    stop, ready = threading.Event(), threading.Event()
    url: list[str] = []

    def on_ready(host: str, port: int) -> None:
        url.append(f"http://{host}:{port}")
        ready.set()

    thread = threading.Thread(target=app.run, args=(reloading.settings, database, stop, on_ready, reloading.take))
    thread.start()
    assert ready.wait(60)
    with Browser(base_url=url[0], timeout=60) as browser:
        browser.sign_in("operator")

        def names() -> list[str]:
            return [route["name"] for route in browser.get("/api/v1/routes").json()]

        assert names() == ["before"]
        config.write_text(TEXT.format(folder=tmp_path, route="wrong", free=1).replace("[[routes]]", "[[rutes]]"))
        reloading.request()
        wait_until("the wrong file is refused", lambda: "configuration_not_reloaded" in capsys.readouterr().out)
        assert names() == ["before"]
        config.write_text(TEXT.format(folder=tmp_path, route="after", free=1 << 60))
        reloading.request()
        wait_until("the new route", lambda: names() == ["after"])
        assert "after" in browser.get("/operations").text
        ready_page = httpx.get(f"{url[0]}/readyz", timeout=60)
        assert "needed to receive" in ready_page.text, "the limit of free space is the new one"
        assert browser.get("/account").status_code == 200, "the session goes on"
    stop.set()
    thread.join(60)
    events = rows(database, "SELECT actor, details -> 'changed' FROM audit_events WHERE action = 'configuration.reloaded'")
    assert events == [("console", ["receive.min_free_bytes", "routes"])]
