"""Users: the page for administrators, registration by invitation, the first administrator, and the command line."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyotp
import pytest

from console.auth.first_administrator import offer_registration
from core.errors import ConfigurationError
from db.accounts.invitations import invite_user
from db.accounts.sign_in_links import make_sign_in_link
from db.accounts.users import (
    _DISABLE,
    _require_other_admin,
    add_user,
    disable_user,
    enable_user,
    find_user,
    list_users,
    set_role,
    set_second_factor,
)
from db.engine import Database
from tests.support.console import PASSWORD, RunningConsole, add_users
from tests.support.node_process import wait_until
from tests.support.records import rows, scalar


def test_an_invited_person_registers_once(console: RunningConsole, database: Database) -> None:
    with console.browser("admin") as admin, console.browser() as person:
        admin.open("/users")
        page = admin.send_form("/users/invite", name="Ångström 山田", role="clinician")
        found = re.search(r"/invitations/([\w-]+)", page.text)
        assert found is not None
        path = found[0]
        assert "Ångström 山田" in person.open(path).text
        assert person.send_form(path, password="short").status_code == 422
        assert person.send_form(path, password="a long enough password").status_code == 303
        assert person.send_form(path, password="a long enough password").status_code == 410, "a link works once"
        assert person.open(path).status_code == 410
        assert person.sign_in("Ångström 山田", "a long enough password").status_code == 303
    user = find_user(database, "Ångström 山田")
    assert user is not None
    assert user.role == "clinician"


def test_an_administrator_changes_roles_and_disables_but_not_the_last_administrator(console: RunningConsole, database: Database) -> None:
    users = {user.name: user.id for user in list_users(database)}
    with console.browser("admin") as admin, console.browser("viewer") as viewer:
        admin.open("/users")
        assert viewer.get("/users").status_code == 403
        assert admin.send_form(f"/users/{users['viewer']}/role", role="admin").status_code == 303
        assert viewer.get("/users").status_code == 200, "the new role holds from the next request on"
        assert admin.send_form(f"/users/{users['viewer']}/disable").status_code == 303
        assert viewer.get("/users").status_code == 303
        last = admin.send_form(f"/users/{users['admin']}/disable")
        assert last.status_code == 409
        assert "only administrator" in last.text
        assert admin.send_form(f"/users/{users['viewer']}/enable").status_code == 303
        assert viewer.sign_in("viewer").status_code == 303


@pytest.mark.parametrize("taken", ["role", "account"])
def test_invitations_end_with_the_rights_of_who_invited(console: RunningConsole, database: Database, taken: str) -> None:
    """Else an administrator comes back with a link that was made before."""
    add_user(database, name="admin2", role="admin", password_hash="", actor="test")
    user = find_user(database, "admin2")
    assert user is not None
    tokens = [invite_user(database, name=f"back door {number}", role="admin", actor="user:admin2") for number in range(2)]
    with console.browser() as person:
        assert person.open(f"/invitations/{tokens[0]}").status_code == 200
        assert person.send_form(f"/invitations/{tokens[0]}", password="a long enough password").status_code == 303
        if taken == "role":
            set_role(database, user.id, "viewer", actor="test")
        else:
            disable_user(database, user.id, actor="test")
        assert person.open(f"/invitations/{tokens[1]}").status_code == 410
        assert person.send_form(f"/invitations/{tokens[1]}", password="a long enough password").status_code == 410
    assert find_user(database, "back door 1") is None


def test_two_administrators_that_disable_each_other_at_once_leave_one(console: RunningConsole, database: Database) -> None:
    other = add_user(database, name="admin2", role="admin", password_hash="", actor="test")
    first = find_user(database, "admin")
    assert first is not None
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection:
            _require_other_admin(connection, first.id)
            connection.execute(_DISABLE, {"id": first.id})
            second = pool.submit(disable_user, database, other, actor="test")
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            wait_until("the second one to wait or to be done", lambda: second.done() or scalar(database, waiting) != 0)
        with pytest.raises(ConfigurationError, match="only administrator"):
            second.result()


def test_a_change_of_a_user_that_there_is_not_is_refused_and_no_event(console: RunningConsole, database: Database) -> None:
    for change in (lambda: set_role(database, 999, "admin", actor="test"), lambda: enable_user(database, 999, actor="test")):
        with pytest.raises(ConfigurationError, match="there is no user 999"):
            change()
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE subject = 'user:999'") == 0


def test_a_link_signs_in_once_and_a_newer_one_replaces_it(console: RunningConsole, database: Database) -> None:
    user = find_user(database, "clinician")
    assert user is not None
    with console.browser() as browser:
        older, newer = (make_sign_in_link(database, user, actor="test") for _ in range(2))
        for _ in range(2):
            assert "signs you in once" in browser.open(f"/sign-in/link/{newer}").text, "reading the page does not use the link up"
        expired = make_sign_in_link(database, user, actor="test", valid_s=-1.0)
        for token in (older, newer, expired, "x"):
            told = browser.open(f"/sign-in/link/{token}")
            assert (told.status_code, "<button" in told.text) == (410, False), "the page says at once that the link is of no use"
            assert "dicom-node users link" in told.text
            assert browser.send_form(f"/sign-in/link/{token}").status_code == 410, "replaced by the last one, which is too old"
        token = make_sign_in_link(database, user, actor="test")
        assert browser.send_form(f"/sign-in/link/{token}").headers["location"] == "/worklist"
        assert browser.get("/worklist").status_code == 200
        assert browser.send_form(f"/sign-in/link/{token}").status_code == 410, "a link works once"
        told = browser.open(f"/sign-in/link/{token}")
        assert told.status_code == 410
        assert "You are signed in as <strong>clinician</strong>" in told.text


def test_the_first_administrator_gets_a_link_at_start_and_nobody_afterwards(
    database: Database, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningConsole(database, tmp_path) as console:
        found = re.search(rf"{re.escape(console.url)}(/invitations/[\w-]+)", capfd.readouterr().err)
        assert found is not None
        with console.browser() as browser:
            assert "admin" in browser.open(found[1]).text
            assert browser.send_form(found[1], password=PASSWORD).status_code == 303
            assert browser.sign_in("admin", next="/users").status_code == 303
            assert browser.get("/users").status_code == 200
    offer_registration(database, "http://x")
    assert "invitations" not in capfd.readouterr().err


def test_an_offer_replaces_the_one_before(database: Database, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    offer_registration(database, "")
    old = re.search(r"/invitations/[\w-]+", capfd.readouterr().err)
    offer_registration(database, "")
    new = re.search(r"/invitations/[\w-]+", capfd.readouterr().err)
    assert old is not None
    assert new is not None
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        assert browser.open(old[0]).status_code == 410
        # The console offered a third link when it started, which replaced the second.
        assert browser.open(new[0]).status_code == 410
    add_users(database)


@pytest.mark.parametrize("name", [" ada", "ada ", "", "a\tb", "x" * 65])
def test_a_name_with_which_nobody_can_sign_in_is_refused(database: Database, name: str) -> None:
    with pytest.raises(ConfigurationError, match="printable"):
        add_user(database, name=name, role="viewer", password_hash="", actor="test")
    with pytest.raises(ConfigurationError, match="printable"):
        invite_user(database, name=name, role="viewer", actor="test")
    assert find_user(database, name) is None


def test_an_administrator_removes_a_lost_second_factor_and_nobody_else_does(console: RunningConsole, database: Database) -> None:
    users, secret = {user.name: user.id for user in list_users(database)}, pyotp.random_base32()
    for name in ("viewer", "admin"):
        set_second_factor(database, users[name], secret, actor="test")
    removed = "SELECT actor FROM audit_events WHERE action = 'user.second_factor_removed'"
    with console.browser("operator") as operator, console.browser() as admin, console.browser() as viewer:
        operator.open("/account")
        assert operator.send_form(f"/users/{users['viewer']}/second-factor/remove").status_code == 403
        admin.sign_in("admin")
        admin.open("/sign-in/code")
        assert admin.send_form("/sign-in/code", code=pyotp.TOTP(secret).now()).status_code == 303
        page = admin.open("/users").text
        assert f'action="/users/{users["viewer"]}/second-factor/remove"' in page
        assert f'action="/users/{users["admin"]}/second-factor/remove"' not in page
        own = admin.send_form(f"/users/{users['admin']}/second-factor/remove")
        assert own.status_code == 409, "an open session is not enough to remove one's own: the account page asks for the password"
        assert rows(database, removed) == []
        assert viewer.sign_in("viewer").headers["location"].startswith("/sign-in/code")
        assert admin.send_form(f"/users/{users['viewer']}/second-factor/remove").status_code == 303
        assert rows(database, removed) == [("user:admin",)]
        assert viewer.sign_in("viewer").headers["location"] == "/account"
        again = admin.send_form(f"/users/{users['viewer']}/second-factor/remove")
        assert again.status_code == 409
        assert "viewer has no second factor" in again.text
    assert {user.name for user in list_users(database) if user.has_second_factor} == {"admin"}
