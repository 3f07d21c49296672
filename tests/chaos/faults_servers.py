"""PostgreSQL and the broker: restarted, killed, cut off, emptied, brought back with old data."""

import random
import signal
import time
from contextlib import suppress

import psutil
import redis

from core.errors import NodeError
from tests.chaos.ward import Ward
from tests.support.node_process import wait_until


def database_restarted(ward: Ward, dice: random.Random) -> None:
    """A fast shutdown, as for an upgrade; `up` starts it again."""
    for process in ward.processes("postgres"):
        process.send_signal(signal.SIGINT)
    ward.count("database restarted")


def database_connections_cut(ward: Ward, dice: random.Random) -> None:
    """Every connection of the node, in the middle of whatever it does."""
    with suppress(NodeError):
        ward.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        ward.count("database connections cut")


def database_backend_killed(ward: Ward, dice: random.Random) -> None:
    """kill -9 of one backend: PostgreSQL ends all the others and recovers from its log."""
    for server in ward.processes("postgres"):
        with suppress(psutil.NoSuchProcess, IndexError):
            dice.choice([child for child in server.children() if "127.0.0.1" in " ".join(child.cmdline())]).kill()
            ward.count("kill postgres backend")


def broker_emptied(ward: Ward, dice: random.Random) -> None:
    """FLUSHALL: every wake-up is gone."""
    with suppress(redis.RedisError), _client(ward) as client:
        client.flushall()
        ward.count("broker emptied")


def broker_with_old_data(ward: Ward, dice: random.Random) -> None:
    """Killed, and back with what it held some seconds ago: old wake-ups again, new ones gone."""
    with suppress(redis.RedisError, AssertionError), _client(ward) as client:
        old = {key: client.dump(key) for key in client.keys()}  # noqa: SIM118 - no dict
        time.sleep(dice.uniform(2.0, 6.0))
        ward.kill("broker", dice)
        wait_until("the broker", lambda: _answers(client), timeout_s=60)
        client.flushall()
        for key, content in old.items():
            if content is not None:
                client.restore(key, 0, content, replace=True)
        ward.count("broker with old data")


def _answers(client: "redis.Redis[bytes]") -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _client(ward: Ward) -> "redis.Redis[bytes]":
    return redis.Redis.from_url(ward.servers.broker, socket_timeout=5)


def message_twice(ward: Ward, dice: random.Random) -> None:
    """Every wake-up that waits, and three more."""
    with suppress(redis.RedisError), _client(ward) as client:
        waiting = client.lrange("infer.routine", 0, -1)
        if waiting:
            client.lpush("infer.routine", *waiting, *waiting[:3])
            ward.count("message twice")


def message_late(ward: Ward, dice: random.Random) -> None:
    """Taken out, and put back seconds later."""
    with suppress(redis.RedisError), _client(ward) as client:
        taken = [message for message in (client.rpop("infer.routine") for _ in range(20)) if message is not None]
        time.sleep(dice.uniform(3.0, 9.0))
        if taken:
            client.lpush("infer.routine", *taken)
            ward.count("message late")


def message_never(ward: Ward, dice: random.Random) -> None:
    """Half of what waits is lost."""
    with suppress(redis.RedisError), _client(ward) as client:
        count = client.llen("infer.routine")
        for _ in range((count + 1) // 2):
            client.rpop("infer.routine")
        if count:
            ward.count("message never")
