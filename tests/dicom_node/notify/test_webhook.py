"""Alerts are posted to the webhook when they begin and when they end: once each, signed, over verified TLS, without patient data."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from core.settings.operations import WebhookSection
from core.settings.settings import Settings
from db import counters
from db.engine import Database
from db.jobs import job_leases
from db.operations import alerts
from db.operations.status import UNREACHABLE
from db.roles import heartbeats
from deploy.settings_file import load_settings
from dicom_node.notify.alert_monitor import AlertMonitor
from dicom_node.notify.webhook import WebhookPoster, post_body
from tests.support.certificates import Authority
from tests.support.records import Sender, claim, complete, finish, plan, rows, run
from tests.support.webhook_server import WebhookServer, webhook_server

pytestmark = pytest.mark.services
SECRET = "an odd secret"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def listening(authority: Authority) -> Iterator[WebhookServer]:
    with webhook_server(authority.sign("hook")) as held:
        yield held


def _settings(tmp_path: Path, held: WebhookServer, ca: Path | None, **rules: Any) -> Settings:
    webhook = {"url": f"https://127.0.0.1:{held.port}/x?token=of-the-url", "secret": SECRET, "ca": ca, "disk_low_bytes": 0, **rules}
    return Settings.model_validate({"node": {"data_dir": tmp_path, "ae_title": "WARD"}, "webhook": webhook})


def _post_all(settings: Settings, database: Database) -> int:
    poster, posted = WebhookPoster(settings, database, _never()), 0
    while poster.post_next():
        posted += 1
    return posted


def _never() -> threading.Event:
    return threading.Event()


def _make_due(database: Database) -> None:
    run(database, "UPDATE notifications SET next_attempt_at = node_now()")


def test_begin_and_end_are_posted_once_each_and_signed(
    tmp_path: Path, database: Database, listening: WebhookServer, authority: Authority
) -> None:
    settings = _settings(tmp_path, listening, authority.ca)
    monitors = [AlertMonitor(settings, database, _never()) for _ in range(2)]  # two senders
    heartbeats.record_heartbeat(database, "send", "h:1", {f"{UNREACHABLE}pacs": "75"})
    listening.statuses = [503, 302]
    for monitor in [*monitors, *monitors]:
        monitor.check()
    assert [(alert.kind, alert.subject) for alert in alerts.current_alerts(database)] == [("destination.away", "pacs")]
    for _ in range(3):  # refused, redirected, accepted
        assert _post_all(settings, database) == 1
        _make_due(database)
    assert _post_all(settings, database) == 0
    heartbeats.record_heartbeat(database, "send", "h:1", {f"{UNREACHABLE}pacs": "0"})
    for monitor in monitors:
        monitor.check()
    assert _post_all(settings, database) == 1
    bodies = [json.loads(body) for _, body in listening.posts]
    assert [(one["event"], one["subject"], one["node"], one["attempt"]) for one in bodies] == [
        ("destination.away.began", "pacs", "WARD", 1),
        ("destination.away.began", "pacs", "WARD", 2),
        ("destination.away.began", "pacs", "WARD", 3),
        ("destination.away.ended", "pacs", "WARD", 1),
    ]
    assert len({one["id"] for one in bodies[:3]}) == 1
    for headers, body in listening.posts:
        assert SECRET not in f"{headers}{body!r}"
        signed = headers["X-Dicom-Node-Timestamp"].encode() + b"." + body
        assert headers["X-Dicom-Node-Signature"] == "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert (
        rows(database, "SELECT action FROM audit_events WHERE action LIKE 'destination.%'") == []
    )  # an outage is audited by deliver.outage, see test_sender
    with database.begin() as connection:
        counted = counters.read(connection)
    assert (counted["alerts"], counted["notifications"]) == ({("destination.away",): 1}, {("sent",): 2})


def test_every_condition_that_is_monitored(tmp_path: Path, database: Database, listening: WebhookServer, authority: Authority) -> None:
    settings = _settings(tmp_path, listening, authority.ca, disk_low_bytes=1 << 62, backlog_after_s=60)
    source = Sender(database)
    for number in (1, 2):
        source.send(number, series=f"1.2.3.{number}", study=f"1.2.3.{number}")
        complete(database, plan(), study=f"1.2.3.{number}")
    job_leases.fail_job(database, claim(database), error="secret words of 1.2.3.4.5.6", permanent=True, retry_in_s=0, max_attempts=3)
    run(database, "UPDATE jobs SET queued_at = node_now() - interval '2 minutes' WHERE state = 'queued'")
    heartbeats.record_heartbeat(database, "worker", "h:1", {})
    heartbeats.record_heartbeat(database, "conduct", "h:2", {})
    heartbeats.record_heartbeat(database, "relay", "h:3", {})
    run(database, "UPDATE heartbeats SET at = node_now() - interval '61 seconds' WHERE role <> 'conduct'")
    heartbeats.delete_heartbeat(database, "relay", "h:3")  # ended in order
    monitor = AlertMonitor(settings, database, _never())
    monitor.check()
    monitor.check()
    assert _post_all(settings, database) == 4
    told = {(one["event"], one["subject"]) for one in (json.loads(body) for _, body in listening.posts)}
    (job,) = rows(database, "SELECT id FROM jobs WHERE state = 'failed'")
    assert told == {("backlog.began", ""), ("disk.low.began", ""), ("role.silent.began", "worker"), ("job.failed", f"job:{job[0]}")}
    everything = b"".join(body for _, body in listening.posts).decode()
    for value in ("Doe", "P1", "A1", "1.2.3", "secret words"):
        assert value not in everything
    heartbeats.record_heartbeat(database, "worker", "h:4", {})
    monitor.check()
    events = rows(database, "SELECT action, subject FROM audit_events WHERE subject LIKE 'alert:%' ORDER BY action")
    assert events == [
        ("backlog.began", "alert:"),
        ("disk.low.began", "alert:"),
        ("role.silent.began", "alert:worker"),
        ("role.silent.ended", "alert:worker"),
    ]
    assert _post_all(settings, database) == 1
    assert json.loads(listening.posts[-1][1])["event"] == "role.silent.ended"


def test_nothing_is_posted_to_an_unverified_server(
    tmp_path: Path, database: Database, listening: WebhookServer, authority: Authority
) -> None:
    stranger = Authority(tmp_path / "stranger")
    settings = _settings(tmp_path, listening, stranger.ca)
    assert post_body(settings.webhook, b"{}", "x") == "its certificate is not accepted, or it does not use TLS"
    assert "certificate" in post_body(settings.webhook.model_copy(update={"ca": None}), b"{}", "x")
    assert post_body(settings.webhook.model_copy(update={"ca": authority.ca}), b"{}", "x") == ""
    with webhook_server() as plain:
        words = post_body(settings.webhook.model_copy(update={"url": f"https://127.0.0.1:{plain.port}/", "ca": authority.ca}), b"{}", "x")
        assert words
        assert "token" not in words
        assert plain.posts == []
    assert len(listening.posts) == 1


def test_notifications_wait_for_an_unreachable_webhook_and_fail_when_they_are_too_old(
    tmp_path: Path, database: Database, authority: Authority
) -> None:
    with webhook_server(authority.sign("gone")) as held:
        settings = _settings(tmp_path, held, authority.ca)
    alerts.begin_alert(database, "disk.low", "", {}, actor="send", webhook=True)
    assert _post_all(settings, database) == 1
    ((state, attempts, note),) = rows(database, "SELECT state, attempts, note FROM notifications")
    assert (state, attempts) == ("pending", 1)
    assert str(note).startswith("unreachable: ")
    run(database, "UPDATE notifications SET at = node_now() - interval '4 days', next_attempt_at = node_now()")
    assert _post_all(settings, database) == 1
    assert rows(database, "SELECT state FROM notifications") == [("failed",)]


@pytest.mark.parametrize(
    "url", ["http://hook.example/x", "ftp://hook/x", "https://me:secret@hook/x", "https://", "hook.example", "https://hook:port/"]
)
def test_an_invalid_or_unsafe_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url is https"):
        WebhookSection(url=url)


def test_the_secret_is_not_read_from_the_configuration_file(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('[webhook]\nurl = "http://127.0.0.1:1/"\nsecret = "x"\n')
    with pytest.raises(ConfigurationError, match="DICOM_NODE_WEBHOOK__SECRET_FILE"):
        load_settings(tmp_path / "node.toml", {})
    (tmp_path / "node.toml").write_text('[webhook]\nurl = "http://127.0.0.1:1/"\n')
    (tmp_path / "secret").write_text("y\n")
    assert load_settings(tmp_path / "node.toml", {"DICOM_NODE_WEBHOOK__SECRET_FILE": str(tmp_path / "secret")}).webhook.secret == "y"


def test_results_and_held_deliveries_are_posted_once_where_they_are_wanted(
    tmp_path: Path, database: Database, listening: WebhookServer, authority: Authority
) -> None:
    Sender(database).send(1)
    (job,) = complete(database, plan()) or []
    finish(database, claim(database))
    run(database, "UPDATE deliveries SET state = 'held', changed_at = node_now(), note = 'Doe^Jane is another patient'")
    unwanted = _settings(tmp_path, listening, authority.ca, events=["alert"], backlog_after_s=86400)
    AlertMonitor(unwanted, database, _never()).check()
    assert _post_all(unwanted, database) == 0
    settings = _settings(tmp_path, listening, authority.ca, events=["held", "result"])
    for _ in range(2):
        AlertMonitor(settings, database, _never()).check()
    assert _post_all(settings, database) == 2
    bodies = [json.loads(body) for _, body in listening.posts]
    assert sorted((one["event"], one["subject"]) for one in bodies) == [
        ("delivery.held", f"delivery:{rows(database, 'SELECT id FROM deliveries')[0][0]}"),
        ("job.reported", f"job:{job}"),
    ]
    (result,) = [one["details"] for one in bodies if one["event"] == "job.reported"]
    assert result == {"model": "lung_nodule_ct", "version": "1.0", "outcome": "findings", "priority": "routine"}
    assert "Doe" not in str(listening.posts), "the note may name a patient, and is not sent"
    for headers, body in listening.posts:
        signed = headers["X-Dicom-Node-Timestamp"].encode() + b"." + body
        assert headers["X-Dicom-Node-Signature"] == "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
