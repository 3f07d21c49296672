"""A URL with several servers: the one that takes writes is found, remembered, and a lost one is noticed within seconds."""

import os
import socket

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from core.errors import ConfigurationError, StorageError
from db.connect_arguments import LOST_AFTER_S
from db.engine import Database, normalise_url
from db.notify import ChannelListener
from db.server_order import split_servers
from deploy.local.ports import free_port


def two_servers(database: Database) -> tuple[str, str]:
    """A URL whose first server does not run, and the port of the second one."""
    url = database.engine.url
    port = str(url.port)
    return f"postgresql://{url.username}:{url.password}@127.0.0.1:{free_port()},127.0.0.1:{port}/{url.database}", port


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://u:p@h/d", []),
        ("postgresql://u:p@h:1,k:2/d", ["h:1", "k:2"]),
        ("postgresql://u:p,q@h,k/d?sslmode=require", ["h:5432", "k:5432"]),
        ("postgresql://u:p@[::1],[::2]:7/d", ["[::1]:5432", "[::2]:7"]),
    ],
)
def test_servers_are_separated_by_commas(url: str, servers: list[str]) -> None:
    rest, found = split_servers(url)
    assert found == servers
    assert ("target_session_attrs=read-write" in rest) == bool(servers)


def test_a_url_of_two_servers_is_the_one_of_the_driver() -> None:
    database = Database.open("postgresql://u:p@h:1,k:2/d?target_session_attrs=any&sslmode=require")
    arguments = database.driver_arguments()
    assert (arguments["host"], arguments["port"]) == ("h,k", "1,2")
    assert Database.open("postgresql://u:p@[::1],[::2]:7/d").driver_arguments()["host"] == "::1,::2"
    assert (arguments["target_session_attrs"], arguments["sslmode"], arguments["password"]) == ("any", "require", "p")


@pytest.mark.parametrize("url", ["postgresql://u:p@h:x/d", "postgresql://u:p@h:1,k:/d", "postgresql://u:p@h:1,k:x/d"])
def test_a_malformed_port_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"database\.url"):
        Database.open(url)


def test_the_server_that_answers_is_asked_first_from_then_on(database: Database) -> None:
    url, port = two_servers(database)
    opened = Database.open(url)
    assert opened.driver_arguments()["port"].split(",")[1] == port
    opened.ping()
    assert opened.driver_arguments()["port"].split(",")[0] == port
    listener = ChannelListener(opened, "intake")
    assert listener.wait(0) == {"intake"}
    listener.close()
    opened.dispose()


def test_a_standby_is_not_used(database: Database) -> None:
    """A server that takes no writes is passed over, as is one that does not run."""
    with database.begin() as connection:
        connection.execute(
            text(f"ALTER ROLE CURRENT_USER IN DATABASE {database.engine.url.database} SET default_transaction_read_only = on")
        )
    opened = Database.open(two_servers(database)[0])
    with pytest.raises(StorageError):
        opened.ping()
    opened.dispose()


def test_a_lost_peer_is_noticed_by_both_sides(database: Database) -> None:
    with database.begin() as connection:
        shown = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("tcp_user_timeout", "tcp_keepalives_idle")]
    assert shown == [f"{LOST_AFTER_S * 1000}", "10"]
    connection = psycopg2.connect(**database.driver_arguments())
    with socket.socket(fileno=os.dup(connection.fileno())) as ours:
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == LOST_AFTER_S * 1000
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
    connection.close()


def test_a_single_server_is_left_as_it_is() -> None:
    assert normalise_url("postgresql://u:p@h:5/d") == "postgresql+psycopg2://u:p@h:5/d"
    database = Database.open(URL.create("postgresql", "u", "p", "h", 5, "d").render_as_string(hide_password=False))
    assert (database.driver_arguments()["host"], database.driver_arguments()["port"]) == ("h", 5)
