"""Asks a signed-in user for the password again, with the limits on failed attempts that hold for signing in."""

from dataclasses import dataclass

from console.auth.credentials.passwords import check_password, waiting_message
from db.accounts.sign_in_limits import begin_attempt, delete_attempt, record_failure
from db.accounts.users import User
from db.engine import Database


@dataclass(frozen=True, slots=True)
class RefusedPassword:
    """Why a password was not accepted, in words and as HTTP status."""

    status: int
    message: str


def refused_password(database: Database, user: User, password: str, address: str) -> RefusedPassword | None:
    """None where the password is right. Who has found an open session must not be able to try out passwords there."""
    attempt = begin_attempt(database, user.name, address)
    if attempt.wait_s > 0:
        return RefusedPassword(429, waiting_message(attempt.wait_s))
    if check_password(user.password_hash, password):
        delete_attempt(database, attempt)
        return None
    record_failure(database, address, user_id=user.id)
    return RefusedPassword(422, "The present password is wrong.")
