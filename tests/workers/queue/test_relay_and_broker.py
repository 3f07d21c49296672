"""A broker that starts late or is restarted: the relay says so in its heartbeat, which `/readyz` reads, and publishes later."""

import threading
import time
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel

from core.settings.servers import BrokerSection
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.roles import heartbeats
from deploy.local.embedded.broker import EmbeddedBroker
from tests.support.queued_jobs import JobFactory, configure
from tests.support.records import scalar
from workers.queue import relay
from workers.queue.celery_app import make_publishing_app

UNREACHABLE = "the broker is out of reach"
TIMEOUT_S = 200.0  # only ends a test that hangs


def _wait_for_problem(database: Database, expected: str, timeout_s: float = TIMEOUT_S) -> str:
    """Wait until the relay's heartbeat has the ``expected`` problem, and return the last one ("none": there is no heartbeat)."""
    deadline, problem = time.monotonic() + timeout_s, "none"
    while time.monotonic() < deadline and problem != expected:
        beats = [beat for beat in heartbeats.alive_processes(database, TIMEOUT_S) if beat.role == "relay"]
        problem = beats[0].details.get("problem", "") if beats else "none"
        time.sleep(0.1)
    return problem


def test_a_broker_that_stops_and_starts_again(database: Database, services_dir: Path) -> None:
    server = EmbeddedBroker(services_dir / "stopped-broker")
    settings = Settings(broker=BrokerSection(url=server.start()))
    server.port = int(settings.broker.url.rsplit(":", 1)[1].split("/")[0])
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(settings, database, stop), daemon=True)
    thread.start()
    try:
        assert _wait_for_problem(database, "") == ""
        server.stop()
        assert _wait_for_problem(database, UNREACHABLE) == UNREACHABLE
        server.start()
        assert _wait_for_problem(database, "") == ""
    finally:
        stop.set()
        thread.join(TIMEOUT_S)
        server.stop()
    assert not thread.is_alive()
    assert _wait_for_problem(database, "none", 0.2) == "none"


@pytest.mark.services
def test_wake_ups_are_published_once_the_broker_responds(tmp_path: Path, database: Database, database_url: str, services_dir: Path) -> None:
    broker = EmbeddedBroker(services_dir / "late-broker")
    url = broker.start()
    broker.stop()
    settings = configure(tmp_path, database_url, url)
    factory = JobFactory(database, Blobs(settings.blobs_dir))
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(settings, database, stop))
    thread.start()
    late = EmbeddedBroker(services_dir / "late-broker", port=int(url.rsplit(":", 1)[1].split("/")[0]))
    try:
        factory.photograph(1)
        assert _wait_for_problem(database, UNREACHABLE) == UNREACHABLE
        assert thread.is_alive()
        assert scalar(database, "SELECT count(*) FROM outbox WHERE published_at IS NULL") == 1
        late.start()
        deadline = time.monotonic() + TIMEOUT_S
        while scalar(database, "SELECT count(*) FROM outbox WHERE published_at IS NULL"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with redis.Redis.from_url(url) as client:
            assert client.llen("infer.routine") >= 1
    finally:
        stop.set()
        thread.join(TIMEOUT_S)
        late.stop()
    assert not thread.is_alive()


def test_a_broker_that_stops_while_messages_are_counted(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library's own error would end the relay."""

    def lose_connection(*_: object, **__: object) -> None:
        raise redis.exceptions.ConnectionError("closed by the server")

    app = make_publishing_app(Settings(broker=BrokerSection(url=broker_url)))
    assert relay.count_messages(app, "infer.urgent") == 0
    monkeypatch.setattr(Channel, "queue_declare", lose_connection)
    with pytest.raises(OperationalError, match="closed by the server"):
        relay.count_messages(app, "infer.urgent")
    app.close()
