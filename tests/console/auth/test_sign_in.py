"""Sign-in, second factor, sessions and sign-out, as a browser uses them."""

import re
import time
from pathlib import Path

import pyotp
from sqlalchemy import text

from db import audit
from db.accounts.users import disable_user, find_user, set_second_factor
from db.engine import Database
from tests.support.console import OF_NOBODY_IN_THE_PRODUCT, PASSWORD, RunningConsole, add_users


def _actions(database: Database) -> list[str]:
    with database.begin() as connection:
        return list(connection.execute(text("SELECT action FROM audit_events ORDER BY id")).scalars())


def test_a_user_signs_in_sees_the_page_that_was_asked_for_and_signs_out(console: RunningConsole, database: Database) -> None:
    with console.browser() as browser:
        asked = browser.get("/account")
        assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in?next=/account")
        reply = browser.sign_in("viewer", next="/account")
        assert (reply.status_code, reply.headers["location"]) == (303, "/account")
        cookie = reply.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        page = browser.open("/account")
        assert page.status_code == 200
        assert "viewer" in page.text
        assert browser.send_form("/sign-out").status_code == 303
        assert browser.get("/account").status_code == 303
    assert [action for action in _actions(database) if action.startswith("session.")] == ["session.opened", "session.ended"]


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(console: RunningConsole, database: Database) -> None:
    with console.browser() as browser:
        wrong, unknown = browser.sign_in("viewer", "not the password"), browser.sign_in("nobody", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace("viewer", "nobody") == unknown.text
    assert _actions(database).count("sign_in.failed") == 2
    for row in audit.export(database):
        assert "nobody" not in str(row)


def test_after_five_failures_the_name_is_locked_and_the_right_password_too(console: RunningConsole) -> None:
    with console.browser() as browser:
        assert [browser.sign_in("viewer", "wrong").status_code for _ in range(5)] == [401] * 5
        locked = browser.sign_in("viewer", PASSWORD)
        assert locked.status_code == 429
        assert 0 < int(locked.headers["retry-after"]) <= 901
        assert browser.sign_in("clinician").status_code == 303, "another name from the same address"


def test_an_open_session_is_no_place_to_try_out_passwords(console: RunningConsole) -> None:
    with console.browser("viewer") as browser:
        browser.open("/account")
        wrong = [browser.send_form("/account/password", old="wrong", new="another long password") for _ in range(5)]
        assert [reply.status_code for reply in wrong] == [422] * 5
        right = browser.send_form("/account/password", old=PASSWORD, new="another long password")
        assert right.status_code == 429
        assert "Too many failed attempts" in right.text
        assert browser.send_form("/account/second-factor/remove", password=PASSWORD).status_code == 429


def test_a_second_factor_is_asked_for_once_and_each_code_counts_once(console: RunningConsole, database: Database) -> None:
    user = find_user(database, "operator")
    assert user is not None
    secret = pyotp.random_base32()
    set_second_factor(database, user.id, secret, actor="test")
    code = pyotp.TOTP(secret).now()
    with console.browser() as browser:
        assert browser.sign_in("operator", next="/account").headers["location"] == "/sign-in/code?next=/account"
        assert browser.get("/account").status_code == 303, "the password alone opens nothing"
        browser.open("/sign-in/code?next=/account")
        before = browser.cookies.get("dicom-node")
        assert browser.send_form("/sign-in/code", code="000000", next="/account").status_code == 401
        assert browser.send_form("/sign-in/code", code=code, next="/account").headers["location"] == "/account"
        assert browser.cookies.get("dicom-node") != before, "the token changes with the rights"
        assert browser.get("/account").status_code == 200
    with console.browser("operator") as browser:
        browser.open("/sign-in/code")
        assert browser.send_form("/sign-in/code", code=code).status_code == 401, "a code works once"


def test_who_has_tried_too_many_codes_is_told_to_wait_and_not_to_enter_the_next_one(console: RunningConsole, database: Database) -> None:
    user = find_user(database, "operator")
    assert user is not None
    set_second_factor(database, user.id, pyotp.random_base32(), actor="test")
    with console.browser() as browser:
        browser.sign_in("operator", next="/account")
        browser.open("/sign-in/code")
        assert [browser.send_form("/sign-in/code", code="000000").status_code for _ in range(5)] == [401] * 5
        locked = browser.send_form("/sign-in/code", code="000000")
    assert (locked.status_code, 0 < int(locked.headers["retry-after"]) <= 901) == (429, True)
    assert "Too many failed attempts. Try again in 15 minutes." in locked.text
    assert "This code is wrong" not in locked.text


def test_a_user_enrols_and_removes_a_second_factor(console: RunningConsole, database: Database) -> None:
    with console.browser("viewer") as browser:
        page = browser.open("/account")
        found = re.search(r'name="secret" value="([A-Z2-7]+)"', page.text)
        assert found is not None
        assert "<svg" in page.text
        assert browser.send_form("/account/second-factor", secret=found[1], code="000000").status_code == 422
        assert browser.send_form("/account/second-factor", secret=found[1], code=pyotp.TOTP(found[1]).now()).status_code == 303
        browser.open("/account")
        other = pyotp.random_base32()
        replaced = browser.send_form("/account/second-factor", secret=other, code=pyotp.TOTP(other).now())
        assert replaced.status_code == 422, "who finds an open session must not replace it without the password"
        assert browser.send_form("/account/second-factor/remove", password="wrong").status_code == 422
        assert browser.send_form("/account/second-factor/remove", password=PASSWORD).status_code == 303
    user = find_user(database, "viewer")
    assert user is not None
    assert not user.has_second_factor


def test_a_new_password_ends_the_other_sessions(console: RunningConsole) -> None:
    with console.browser("viewer") as first, console.browser("viewer") as second:
        first.open("/account")
        assert first.send_form("/account/password", old="wrong", new="another long password").status_code == 422
        assert first.send_form("/account/password", old=PASSWORD, new="short").status_code == 422
        assert first.send_form("/account/password", old=PASSWORD, new="another long password").status_code == 303
        assert first.get("/account").status_code == 200
        assert second.get("/account").status_code == 303
        assert second.sign_in("viewer", "another long password").status_code == 303


def test_a_user_ends_a_session_from_the_list_and_no_other_user_s(console: RunningConsole, database: Database) -> None:
    with console.browser() as first, console.browser() as second, console.browser() as other:
        for browser, name in ((first, "viewer"), (second, "viewer"), (other, "clinician")):
            browser.sign_in(name)
        with database.begin() as connection:
            ids = connection.execute(text("SELECT s.id, u.name FROM sessions s JOIN users u ON u.id = s.user_id ORDER BY s.id")).all()
        first.open("/account")
        assert first.send_form(f"/account/sessions/{ids[1].id}/end").status_code == 303
        assert second.get("/account").status_code == 303
        assert first.send_form(f"/account/sessions/{ids[2].id}/end").status_code == 303
        assert other.get("/account").status_code == 200, "not one's own: left as it is"


def test_sessions_end_when_idle_when_old_and_when_the_user_is_disabled(database: Database, tmp_path: Path) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path, idle_s=0.5) as console, console.browser("viewer") as browser:
        time.sleep(0.7)
        assert browser.get("/account").status_code == 303
    with RunningConsole(database, tmp_path, max_s=0.5) as console, console.browser("viewer") as browser:
        time.sleep(0.7)
        assert browser.get("/account").status_code == 303
    with RunningConsole(database, tmp_path) as console, console.browser("viewer") as browser:
        user = find_user(database, "viewer")
        assert user is not None
        disable_user(database, user.id, actor="test")
        assert browser.get("/account").status_code == 303
        assert browser.sign_in("viewer").status_code == 401


def test_the_database_holds_no_token_and_no_password(console: RunningConsole, database: Database) -> None:
    with console.browser("viewer") as browser:
        token = browser.cookies["dicom-node"]
    with database.begin() as connection:
        rows = str(connection.execute(text("SELECT * FROM sessions")).all()) + str(connection.execute(text("SELECT * FROM users")).all())
    assert token not in rows
    assert PASSWORD not in rows
    assert "$argon2id$" in rows


def test_passwords_are_hashed_with_the_parameters_of_rfc_9106() -> None:
    """The consoles of the tests hash with smaller ones; this hash is from before they were set."""
    assert OF_NOBODY_IN_THE_PRODUCT.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
