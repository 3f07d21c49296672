"""Anchors reach a real syslog server over TLS (RFC 5425), and only one whose certificate is right; a server may ask for the node's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db.anchor.anchor_state import last_anchor
from db.engine import Database
from tests.dicom_node.anchor.test_recipients import make_loop
from tests.support.certificates import Authority
from tests.support.node_process import wait_until
from tests.support.syslog_server import SyslogServer, running_syslog


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of the servers and of the node."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which nobody trusts."""
    return Authority(tmp_path_factory.mktemp("other"), "Other authority")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SyslogServer]:
    """A server that accepts any sender."""
    with running_syslog(tmp_path_factory.mktemp("syslog") / "open", authority.ca, authority.sign("log")) as running:
        yield running


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[SyslogServer]:
    """A server that accepts senders with the certificate of `node` only."""
    with running_syslog(tmp_path_factory.mktemp("syslog") / "strict", authority.ca, authority.sign("log"), client="node") as running:
        yield running


def problem_of(database: Database) -> str:
    """Return why syslog did not get the last anchor; "" where it was sent. The anchor itself stands."""
    state = last_anchor(database)
    assert state is not None
    assert (state.number, state.problem) == (1, "")
    return str(state.recipients["syslog"].get("problem", ""))


def anchor(database: Database, tmp_path: Path, server: SyslogServer, **audit: Any) -> str:
    """Take an anchor that is sent to the server; return the problem."""
    make_loop(database, tmp_path, syslog_url=server.url, **audit).step()
    return problem_of(database)


def test_the_server_gets_the_signed_line(database: Database, tmp_path: Path, server: SyslogServer, authority: Authority) -> None:
    assert anchor(database, tmp_path, server, syslog_ca=authority.ca) == ""
    line = (tmp_path / "audit" / "anchor.jsonl").read_text().strip()
    wait_until("the message", lambda: [one for one in server.received() if one.endswith(line)], every_s=0.05)
    (message,) = [one for one in server.received() if one.endswith(line)]
    assert message.split(" ")[:4] == ["13", "notice", "dicom-node-DICOMNODE", "audit-anchor"]


def test_a_server_of_another_authority_gets_nothing(database: Database, tmp_path: Path, server: SyslogServer, other: Authority) -> None:
    before = server.received()
    assert "certificate verify failed" in anchor(database, tmp_path, server, syslog_ca=other.ca)
    assert server.received() == before


def test_a_server_that_asks_for_a_certificate(database: Database, tmp_path: Path, strict: SyslogServer, authority: Authority) -> None:
    cert, key = authority.sign("node")
    assert anchor(database, tmp_path, strict, syslog_ca=authority.ca, syslog_cert=cert, syslog_key=key) == ""
    wait_until("the message", strict.received, every_s=0.05)


@pytest.mark.parametrize("which", ["none", "another name", "another authority"])
def test_what_the_server_refuses_is_a_problem_of_the_anchor(
    database: Database, tmp_path: Path, strict: SyslogServer, authority: Authority, other: Authority, which: str
) -> None:
    """With TLS 1.3 the refusal comes after the message was sent: it must not count as sent."""
    before = strict.received()
    pairs = {"none": None, "another name": authority.sign("somebody"), "another authority": other.sign("node")}
    pair = pairs[which]
    given = {} if pair is None else {"syslog_cert": pair[0], "syslog_key": pair[1]}
    assert anchor(database, tmp_path, strict, syslog_ca=authority.ca, **given) != ""
    assert strict.received() == before
