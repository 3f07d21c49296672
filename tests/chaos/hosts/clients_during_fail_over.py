"""Runs in the namespaces: clients commit rows while the primary's host is lost and the standby takes over. Prints what they saw as JSON."""

import itertools
import json
import threading
import time

from sqlalchemy import text

from core.errors import StorageError
from db.engine import Database
from tests.chaos.hosts import sandbox
from tests.chaos.hosts.network import Network
from tests.chaos.hosts.postgres import PostgresPair, PostgresServer
from tests.support.node_process import wait_until

CLIENTS = 3
COMMITS = 20  # of each client, before and after
ENOUGH_S = 600.0


class Client:
    """Commits one number after the other; a number whose commit was not answered is committed under the next one."""

    def __init__(self, database: Database, first: int) -> None:
        self.acknowledged: list[int] = []
        self._database, self._numbers = database, itertools.count(first)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in self._numbers:
            try:
                with self._database.begin() as connection:
                    connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
                self.acknowledged.append(number)
            except StorageError:
                pass
            if self._stop.wait(0.05):
                return

    def stop(self) -> None:
        """End after the present commit."""
        self._stop.set()
        self._thread.join()


def main() -> None:
    """Set up, fail over, and print the result."""
    folder = sandbox.enter()
    network = Network.create()
    servers = [PostgresServer(network.add(name, number), folder / name) for name, number in (("db1", 21), ("db2", 22))]
    pair = PostgresPair(servers[0], servers[1])
    pair.start()
    database = Database.open(pair.url)
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE numbers (number bigint)"))
    clients = [Client(database, first * 1_000_000) for first in range(CLIENTS)]
    _wait_for_commits(clients)
    began = time.monotonic()
    network.cut("db1")
    pair.primary.power_off()
    pair.promote_standby()
    _wait_for_commits(clients)
    seconds = time.monotonic() - began
    network.join("db1")
    pair.add_standby()
    _wait_for_commits(clients)
    for client in clients:
        client.stop()
    with database.begin() as connection:
        kept = set(connection.execute(text("SELECT number FROM numbers")).scalars())
    acknowledged = {number for client in clients for number in client.acknowledged}
    print(json.dumps({"seconds": seconds, "acknowledged": len(acknowledged), "lost": len(acknowledged - kept)}))


def _wait_for_commits(clients: list[Client]) -> None:
    """Wait until every client has committed `COMMITS` more numbers."""
    before = [len(client.acknowledged) for client in clients]

    def done() -> bool:
        return all(len(client.acknowledged) >= count + COMMITS for client, count in zip(clients, before, strict=True))

    wait_until("commits", done, timeout_s=ENOUGH_S, every_s=0.1)


if __name__ == "__main__":
    main()
