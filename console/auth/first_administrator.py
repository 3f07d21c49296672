"""The first administrator: while there is no user, the console offers a registration link when it starts."""

import sys

import structlog

from console.auth.access import UserRole
from core.errors import StorageError
from db.accounts.invitations import invite_user
from db.accounts.users import count_users
from db.engine import Database
from db.schema.revisions import current_revision, expected_revision

NAME = "admin"

log = structlog.get_logger(__name__)


def offer_registration(database: Database, url: str) -> None:
    """Print a link, valid once and for three days, with which the first administrator registers; nothing where there is a user.

    The link goes to standard error of the console alone, and not into the log: anyone with the link can become administrator.
    """
    try:
        if current_revision(database) != expected_revision() or count_users(database) > 0:
            return
    except StorageError:
        log.warning("database_unavailable", hint="restart the console to get the registration link of the first administrator")
        return
    token = invite_user(database, name=NAME, role=UserRole.ADMIN, actor="console")
    print(f"console: register the first administrator at {url}/invitations/{token}", file=sys.stderr, flush=True)
    log.info("registration_offered")
