"""The Host header: only names of this console are answered, and links never contain it."""

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from console.server.address import expected_hosts, host_name, is_expected_host, public_address
from core.settings.web.console import ConsoleSection
from db.engine import Database
from tests.support.console import RunningConsole, add_users
from tests.support.records import rows

PUBLIC = "https://node.example.org"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("127.0.0.1:8484", "127.0.0.1"), ("Node.Example.ORG.", "node.example.org"), ("[::1]:8484", "::1"), ("node", "node"), ("", ""),
        ("node:port", ""), ("node:99999", ""), ("user@node", ""), ("node/path", ""), ("node?x", ""), ("a b", ""), ("node#x", ""),
        ("node\\evil", ""), ("[::1", ""),
    ],
)  # fmt: skip
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


def test_loopback_host_name_public_address_and_the_address_of_the_connection_are_expected() -> None:
    names = expected_hosts(ConsoleSection(host="0.0.0.0", public_url=PUBLIC, allowed_hosts=("console", "10.1.1.1")))
    expected = (
        "localhost",
        "127.0.0.1:8484",
        "[::1]",
        socket.gethostname(),
        "node.example.org:443",
        "console",
        "10.1.1.1",
        "10.0.0.7:8484",
    )
    assert [host for host in expected if not is_expected_host(host, names, "10.0.0.7")] == []
    others = ("0.0.0.0", "10.0.0.8", "evil.example", "node.example.org.evil.example", "xnode.example.org", "")
    assert [host for host in others if is_expected_host(host, names, "10.0.0.7")] == []


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({"public_url": f"{PUBLIC}/"}, PUBLIC),
        ({"host": "10.0.0.7"}, "http://10.0.0.7:8484"),
        ({"host": "::1"}, "http://[::1]:8484"),
        ({"host": "0.0.0.0"}, f"http://{socket.gethostname()}:8484"),
    ],
)
def test_links_begin_with_the_public_address(given: dict[str, Any], address: str) -> None:
    assert public_address(ConsoleSection(**given)) == address


@pytest.mark.parametrize("url", ["node.example.org", "ftp://node", "https://node/path", "https://user@node", "https://", "https://node?x"])
def test_a_public_address_is_scheme_host_and_port(url: str) -> None:
    with pytest.raises(ValidationError, match="is no address such as"):
        ConsoleSection(public_url=url)


@pytest.mark.parametrize("name", ["*", "*.example.org", "https://node", "node:8484", ""])
def test_an_allowed_host_is_a_name_or_an_address(name: str) -> None:
    with pytest.raises(ValidationError, match="is no host name or address"):
        ConsoleSection(allowed_hosts=(name,))


def test_a_trusted_proxy_is_an_address_or_a_network() -> None:
    with pytest.raises(ValidationError, match="is no address or network"):
        ConsoleSection(trusted_proxies=("proxy.example.org",))


def test_another_host_is_answered_with_400_everywhere_and_links_do_not_contain_it(database: Database, tmp_path: Path) -> None:
    add_users(database)
    section = ConsoleSection(port=0, public_url=PUBLIC, allowed_hosts=("proxy",), trusted_proxies=("127.0.0.0/8",))
    with RunningConsole(database, tmp_path, console=section) as console, console.browser() as browser:
        for path in ("/", "/sign-in", "/healthz", "/metrics", "/api/v1/status", "/static/console.css", "/no-such-page"):
            reply = browser.get(path, headers={"Host": "evil.example"})
            assert reply.status_code == 400, path
            assert "evil.example" not in reply.text
            assert "console.allowed_hosts" in reply.text
            assert "content-security-policy" in reply.headers
        assert browser.get("/api/v1/status", headers={"Host": "x"}).headers["content-type"] == "application/problem+json"
        assert browser.get("/sign-in", headers={"Host": "proxy:8080"}).status_code == 200
        browser.headers["Host"] = "proxy"
        guess = {"Origin": PUBLIC, "X-Forwarded-For": "10.9.9.9, 192.0.2.7"}
        assert browser.post("/sign-in", data={"name": "x", "password": "y"}, headers=guess).status_code == 401
        signed_in = browser.post("/sign-in", data={"name": "admin", "password": "correct horse battery staple"}, headers={"Origin": PUBLIC})
        assert signed_in.status_code == 303
        cookie = signed_in.headers["set-cookie"]
        assert cookie.startswith("__Host-dicom-node=")
        assert "Secure" in cookie
        assert signed_in.headers["strict-transport-security"] == "max-age=31536000"
        browser.headers["Cookie"] = cookie.partition(";")[0]
        token = re.search(r'name="form_token" value="([^"]+)"', browser.get("/users").text)
        assert token is not None
        form = {"form_token": token[1], "role": "viewer"}
        page = browser.post("/users/invite", data={**form, "name": "eve"}, headers={"Origin": PUBLIC})
        assert f"{PUBLIC}/invitations/" in page.text
        assert "proxy" not in page.text
        refused = browser.post("/users/invite", data={**form, "name": "mallory"}, headers={"Origin": "https://evil.example"})
        assert refused.status_code == 403
        headers = {"X-Form-Token": token[1], "Origin": PUBLIC}
        made = browser.post("/api/v1/users/invitations", json={"name": "ada", "role": "viewer"}, headers=headers)
        assert made.json()["link"].startswith(f"{PUBLIC}/invitations/")
    assert rows(database, "SELECT name FROM invitations ORDER BY name") == [("ada",), ("eve",)]
    failed = rows(database, "SELECT details ->> 'from' FROM audit_events WHERE action = 'sign_in.failed'")
    assert failed == [("192.0.2.7",)], "the address that the trusted proxy has added"


def test_a_request_without_or_with_two_hosts_is_refused(database: Database, tmp_path: Path) -> None:
    with RunningConsole(database, tmp_path) as console:
        url = httpx.URL(console.url)
        for head in ("GET /healthz HTTP/1.0\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"):
            with socket.create_connection((url.host, url.port or 0), timeout=60) as plain:
                plain.sendall(head.encode())
                assert plain.recv(4096).startswith(b"HTTP/1.1 400"), head
