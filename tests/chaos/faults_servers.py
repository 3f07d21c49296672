"""Faults of PostgreSQL and the broker: restarts, kills, cut connections, lost and old messages."""

import random
import signal
import time
from contextlib import suppress

import psutil
import redis

from core.errors import NodeError
from tests.chaos.node_under_test import NodeUnderTest
from tests.support.node_process import wait_until


def restart_database(target: NodeUnderTest, rng: random.Random) -> None:
    """Shut PostgreSQL down, as for an upgrade; ``up`` starts it again."""
    for process in target.processes("postgres"):
        process.send_signal(signal.SIGINT)
    target.count("database restarted")


def cut_database_connections(target: NodeUnderTest, rng: random.Random) -> None:
    """Cut every connection of the node to the database."""
    with suppress(NodeError):
        target.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user")
        target.count("database connections cut")


def kill_database_backend(target: NodeUnderTest, rng: random.Random) -> None:
    """Kill one backend: PostgreSQL ends all others and recovers from its log."""
    for server in target.processes("postgres"):
        with suppress(psutil.NoSuchProcess, IndexError):
            rng.choice([child for child in server.children() if "127.0.0.1" in " ".join(child.cmdline())]).kill()
            target.count("kill postgres backend")


def empty_broker(target: NodeUnderTest, rng: random.Random) -> None:
    """Delete every wake-up (FLUSHALL)."""
    with suppress(redis.RedisError), _client(target) as client:
        client.flushall()
        target.count("broker emptied")


def restore_old_broker_data(target: NodeUnderTest, rng: random.Random) -> None:
    """Kill the broker and restore what it had some seconds ago: old wake-ups come again, new ones are lost."""
    with suppress(redis.RedisError, AssertionError), _client(target) as client:
        old = {key: client.dump(key) for key in client.keys()}  # noqa: SIM118 - no dict
        time.sleep(rng.uniform(2.0, 6.0))
        target.kill("broker", rng)
        wait_until("the broker", lambda: _responds(client), timeout_s=60)
        client.flushall()
        for key, content in old.items():
            if content is not None:
                client.restore(key, 0, content, replace=True)
        target.count("broker with old data")


def _responds(client: "redis.Redis[bytes]") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _client(target: NodeUnderTest) -> "redis.Redis[bytes]":
    return redis.Redis.from_url(target.servers.broker, socket_timeout=5)


def duplicate_messages(target: NodeUnderTest, rng: random.Random) -> None:
    """Duplicate every wake-up in the queue, and three of them twice."""
    with suppress(redis.RedisError), _client(target) as client:
        messages = client.lrange("infer.routine", 0, -1)
        if messages:
            client.lpush("infer.routine", *messages, *messages[:3])
            target.count("message twice")


def delay_messages(target: NodeUnderTest, rng: random.Random) -> None:
    """Take wake-ups out of the queue, and put them back seconds later."""
    with suppress(redis.RedisError), _client(target) as client:
        taken = [message for message in (client.rpop("infer.routine") for _ in range(20)) if message is not None]
        time.sleep(rng.uniform(3.0, 9.0))
        if taken:
            client.lpush("infer.routine", *taken)
            target.count("message late")


def lose_messages(target: NodeUnderTest, rng: random.Random) -> None:
    """Delete half of the wake-ups in the queue."""
    with suppress(redis.RedisError), _client(target) as client:
        count = client.llen("infer.routine")
        for _ in range((count + 1) // 2):
            client.rpop("infer.routine")
        if count:
            target.count("message lost")
