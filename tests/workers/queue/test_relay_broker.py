"""The relay says in its heartbeat when the broker is out of reach, and that it is back: `/readyz` reads it there."""

import threading
import time
from pathlib import Path

from core.settings.servers import BrokerSection
from core.settings.settings import Settings
from db.engine import Database
from db.roles import heartbeats
from deploy.local.embedded_broker import EmbeddedBroker
from workers.queue import relay


def _problem(database: Database, wanted: str, timeout_s: float = 30.0) -> str:
    """What the relay's heartbeat says, as soon as it is ``wanted`` or the time is over ("none": no heartbeat)."""
    deadline, said = time.monotonic() + timeout_s, "none"
    while time.monotonic() < deadline and said != wanted:
        beats = [beat for beat in heartbeats.alive(database, 30) if beat.role == "relay"]
        said = beats[0].details.get("problem", "") if beats else "none"
        time.sleep(0.1)
    return said


def test_a_broker_that_goes_and_comes_back(database: Database, services_dir: Path) -> None:
    server = EmbeddedBroker(services_dir / "broker-that-goes")
    settings = Settings(broker=BrokerSection(url=server.start()))
    server.port = int(settings.broker.url.rsplit(":", 1)[1].split("/")[0])
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(settings, database, stop), daemon=True)
    thread.start()
    try:
        assert _problem(database, "") == ""
        server.stop()
        assert _problem(database, "the broker is out of reach") == "the broker is out of reach"
        server.start()
        assert _problem(database, "") == ""
    finally:
        stop.set()
        thread.join(20)
        server.stop()
    assert not thread.is_alive()
    assert _problem(database, "none", 0.2) == "none"
